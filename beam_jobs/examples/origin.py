"""Says which examples a folder holds, from its small files alone, for the records of what is made of them."""

import json

from beam_jobs import storage
from beam_jobs.examples.info import ExamplesInfo
from beam_jobs.manifest import Manifest


def describe(info: ExamplesInfo) -> dict[str, str]:
    """Returns what identifies a folder of examples wherever it lies.

    Args:
        info: The folder.

    Returns:
        `description`, the line about the corpus that AudioExampleGen wrote, with the layout of the source. `sha256`,
        the digest of the names and the digests of all files of clips; absent if these were not digested when written.
    """
    description = json.loads((info.directory / "dataset_info.json").read_text()).get("description", "")
    recorded = Manifest.read(info.directory)
    names = [file.rpartition("/")[2] for split in info.splits for file in info.files(split)]
    digests = [(name, recorded.digest(name)) for name in names]
    if not digests or any(digest is None for _, digest in digests):
        return {"description": description}
    content = json.dumps([(name, digest.sha256) for name, digest in digests])
    return {"description": description, "sha256": storage.text_digest(content)}
