"""Files that a Beam job has finished, each with a record: a JSON text that says what it holds.

A file may be written by several attempts, even at the same time: a runner tries again what failed, or starts a second
attempt of what is slow, and a job that was thought dead may go on. Each attempt names its file after the content, and
its record names that file. So whichever attempt writes its record last, the record and the file that it names belong
together.

    on this machine    `<shard>.<digest>`, and then `_done/<shard>.json` with the record
    Cloud Storage      `<shard>.<digest>` with the record as its note, so that one request writes both, and one listing
                       reads the records of a thousand files; a record that is too long for a note lies in
                       `_done/<shard>.<digest>.json`, so that an attempt never changes the record of another
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from beam_jobs import conditional_writes, google_storage, storage

if TYPE_CHECKING:
    from etils import epath

_ELSEWHERE = "_done"
"""The note of a file whose record is too long for a note."""


def name(shard: str, *, sha256: str) -> str:
    """Returns the name of the file of one attempt. Only attempts with the same content share it."""
    return f"{shard}.{sha256[:16]}"


def have_notes(folder: epath.Path) -> bool:
    """Returns whether files and records of a folder are written together, by `put`."""
    return google_storage.is_used_for(folder)


def put(temporary: epath.Path, target: epath.Path, *, record: str) -> None:
    """Uploads a file of this machine together with its record.

    Args:
        temporary: The file.
        target: Its place, whose name is that of `name`.
        record: Its record.
    """
    storage.move_in(temporary, target, note=_note(target, record))


def write_record(folder: epath.Path, *, shard: str, file: str, record: str) -> None:
    """Writes the record of a file that is in its place."""
    if have_notes(folder):
        google_storage.set_note(folder / file, _note(folder / file, record))
    else:
        storage.write_text(_record_file(folder, shard), record, concurrent=True)


def read_record(folder: epath.Path, shard: str) -> str | None:
    """Reads the record of a shard; None if there is none."""
    if have_notes(folder):
        return _noted(folder, start=f"{shard}.").get(shard)
    content = conditional_writes.read_if_exists(_record_file(folder, shard))
    return None if content is None else content.decode(errors="replace")


def read_records(folder: epath.Path, *, known: Collection[str] = ()) -> dict[str, str]:
    """Reads the records of all shards, by shard in the order of their names.

    Args:
        folder: The folder of the files.
        known: Shards whose records are left out.
    """
    if have_notes(folder):
        return {shard: record for shard, record in sorted(_noted(folder).items()) if shard not in known}
    done = folder / storage.RECORDS_FOLDER
    names = sorted(entry.name for entry in storage.entries(done)) if done.exists() else []
    shards = [name.removesuffix(".json") for name in names if name.endswith(".json")]
    records = {shard: read_record(folder, shard) for shard in shards if shard not in known}
    return {shard: record for shard, record in records.items() if record is not None}


def _noted(folder: epath.Path, *, start: str = "") -> dict[str, str]:
    """Returns the records in a folder of Cloud Storage whose names begin with `start`, by shard."""
    listing = google_storage.list_files(folder, start=start)
    files = sorted((file for file in listing if "/" not in file), key=lambda file: listing[file].generation)
    newest = {file.rpartition(".")[0]: file for file in files if listing[file].note}
    records = {shard: _record(folder, file, note=listing[file].note) for shard, file in newest.items()}
    return {shard: record for shard, record in records.items() if record is not None}


def _record(folder: epath.Path, file: str, *, note: str) -> str | None:
    """Returns the record of a file with this note; None if it lay in a file of its own and is gone."""
    if note != _ELSEWHERE:
        return note
    content = conditional_writes.read_if_exists(_record_file(folder, file))
    return None if content is None else content.decode(errors="replace")


def _note(file: epath.Path, record: str) -> str:
    """Returns the note of a file. A record that is too long is written into a file of its own."""
    if len(record) <= google_storage.MAX_NOTE_BYTES:
        return record
    _record_file(file.parent, file.name).write_text(record)
    return _ELSEWHERE


def _record_file(folder: epath.Path, name: str) -> epath.Path:
    """Returns where the record of a shard lies on this machine, or that of a file on Cloud Storage."""
    return folder / storage.RECORDS_FOLDER / f"{name}.json"
