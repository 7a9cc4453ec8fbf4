"""Records of finished files of embeddings: `_done/<file>.json` in the folder of their embedder.

As in `beam_jobs.ingest.records`, several attempts may write a file at the same time. Each names its file after the
content, and then writes the record that names it.
"""

import dataclasses
import json
from collections.abc import Callable, Collection, Iterable

from etils import epath

from beam_jobs import storage
from beam_jobs.embedding.plan import Shard


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardRecord:
    """The content of one finished file.

    Attributes:
        embedder: Name of the embedder.
        split: "train", "valid" or "eval".
        shard: Name of the file in the plan, under which it is published.
        file: Name of the file of this attempt.
        clips: Number of clips in it.
        rows: Number of rows.
        bytes: Size of the file.
        sha256: Digest of the file.
        plan: Digest of all that decides its content, so that a rerun with other clips or weights writes it again.
    """

    embedder: str
    split: str
    shard: str
    file: str
    clips: int
    rows: int
    bytes: int
    sha256: str
    plan: str


def file_name(shard: str, *, sha256: str) -> str:
    """Returns the name of the file of one attempt. Only attempts with the same content share it."""
    return f"{shard}.{sha256[:16]}"


def prepare(work: epath.Path, embedders: Iterable[str]) -> None:
    """Creates the folders of a job, and removes the unfinished files of a killed one."""
    for name in embedders:
        (work / name / storage.RECORDS_FOLDER).mkdir(parents=True, exist_ok=True)
        _remove(work / name, lambda file: file.endswith(storage.UNFINISHED))


def is_done(work: epath.Path, record: ShardRecord) -> bool:
    """Returns whether the file that a record names is there and whole. Reading it is cheap beside embedding again."""
    file = work / record.embedder / record.file
    return file.exists() and (record.sha256, record.bytes) == storage.file_digest(file)


def finished(work: epath.Path, embedders: Iterable[str], *, known: Collection[str] = ()) -> list[ShardRecord]:
    """Returns the records of what is finished so far, which tells the progress of a running job.

    Args:
        work: The work folder of the job.
        embedders: Names of its embedders.
        known: `embedder/shard` of records that are not read again and not returned.
    """
    found = []
    for embedder in embedders:
        names = [entry.name for entry in storage.entries(work / embedder / storage.RECORDS_FOLDER)]
        shards = [name.removesuffix(".json") for name in sorted(names) if name.endswith(".json")]
        found += [read(work, embedder, shard) for shard in shards if f"{embedder}/{shard}" not in known]
    return [record for record in found if record is not None]


def remove_other_attempts(work: epath.Path, finished: Collection[ShardRecord]) -> None:
    """Removes the files of attempts that no record names. Call it once the job has ended."""
    for embedder in {record.embedder for record in finished}:
        named = {record.file for record in finished if record.embedder == embedder}
        _remove(work / embedder, lambda file, named=named: file not in named)


def read(work: epath.Path, embedder: str, shard: str) -> ShardRecord | None:
    """Reads the record of a file. None: there is none, or it was damaged, e.g. by a power cut."""
    try:
        return ShardRecord(**json.loads(_record_file(work, embedder, shard).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def write(work: epath.Path, record: ShardRecord) -> None:
    """Writes the record of a file."""
    content = json.dumps(dataclasses.asdict(record), indent=1)
    storage.write_text(_record_file(work, record.embedder, record.shard), content, concurrent=True)


def plan_digest(shard: Shard, *, embedder: str, row: str) -> str:
    """Returns a digest of what decides the content of a file.

    Args:
        shard: What is embedded.
        embedder: Digest of the embedder.
        row: What a row holds, see `info.RowKind`.
    """
    # The folder of the examples is left out, so that an interrupted job goes on when it was moved.
    planned = {**dataclasses.asdict(shard), "examples": _content(epath.Path(shard.examples))}
    return storage.text_digest(json.dumps([planned, embedder, row]))


def _content(examples: epath.Path) -> str:
    """Returns what tells one content of a file of examples from another."""
    record = examples.parent / storage.RECORDS_FOLDER / f"{examples.name}.json"
    try:
        return json.loads(record.read_bytes())["sha256"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # Another program wrote the examples.
        return f"{storage.size(examples)} {storage.modified_s(examples)}"


def _remove(folder: epath.Path, is_removed: Callable[[str], bool]) -> None:
    for name, is_folder in list(storage.entries(folder)):
        if not is_folder and is_removed(name):
            (folder / name).unlink(missing_ok=True)


def _record_file(work: epath.Path, embedder: str, shard: str) -> epath.Path:
    return work / embedder / storage.RECORDS_FOLDER / f"{shard}.json"
