"""The manifest of a published folder: `_done/manifest.json`, with size and SHA-256 of its large files.

They were digested while they were written, so nobody needs to read them again for their digests. Earlier versions wrote
a file `_done/<name>.json` for each.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from beam_jobs import storage

if TYPE_CHECKING:
    from etils import epath

NAME = "manifest.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """What is recorded of the files of a folder.

    Attributes:
        files: Name of a file -> its digest, and what else its writer has recorded.
    """

    files: Mapping[str, Mapping[str, object]]

    @classmethod
    def read(cls, folder: epath.Path, *, records: Collection[str] | None = None) -> Manifest:
        """Reads the manifest of a folder, or what an earlier version wrote in its place; empty if there is neither.

        Args:
            folder: The folder.
            records: Names of the files in `_done/`; None lists them.
        """
        done = folder / storage.RECORDS_FOLDER
        if records is None:
            records = [entry.name for entry in storage.entries(done)] if storage.is_folder(done) else []
        if NAME in records:
            return cls(files=_object(done / NAME).get("files", {}))
        names = [name.removesuffix(".json") for name in records if name.endswith(".json")]
        return cls(files={name: _object(done / f"{name}.json") for name in names})

    def write(self, folder: epath.Path) -> None:
        """Writes the manifest of a folder whose files are there."""
        done = folder / storage.RECORDS_FOLDER
        done.mkdir(parents=True, exist_ok=True)
        storage.write_text(done / NAME, json.dumps({"files": self.files}, indent=1))

    def digest(self, name: str) -> storage.FileDigest | None:
        """Returns the digest of a file; None if it is not recorded."""
        recorded = self.files.get(name, {})
        if "sha256" not in recorded or "bytes" not in recorded:
            return None
        return storage.FileDigest(recorded["sha256"], recorded["bytes"])


def _object(file: epath.Path) -> dict[str, object]:
    """Returns the JSON object in a file; an empty one if it is damaged, and then what it describes is read instead."""
    try:
        content = json.loads(file.read_text())
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
