"""Records of finished files of embeddings, in the folder of their embedder; see `beam_jobs.finished_files`."""

import dataclasses
import json
from collections.abc import Callable, Collection, Iterable

from etils import epath

from beam_jobs import finished_files, manifest, storage
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


def prepare(work: epath.Path, embedders: Iterable[str]) -> None:
    """Creates the folders of a job, and removes the unfinished files of a killed one."""
    for name in embedders:
        (work / name / storage.RECORDS_FOLDER).mkdir(parents=True, exist_ok=True)
        _remove(work / name, lambda file: file.endswith(storage.UNFINISHED))


def is_done(work: epath.Path, record: ShardRecord) -> bool:
    """Returns whether the file that a record names is there and whole. Reading it is cheap beside embedding again."""
    if finished_files.have_notes(work):
        return True  # Its record was written with it.
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
        left_out = {name.removeprefix(f"{embedder}/") for name in known if name.startswith(f"{embedder}/")}
        found += finished_files.read_records(work / embedder, known=left_out).values()
    return [record for record in map(_parse, found) if record is not None]


def reader(work: epath.Path, embedders: Iterable[str]) -> Callable[[str, str], ShardRecord | None]:
    """Returns what reads a record like `read`; on a bucket it has read all of them at once."""
    if not finished_files.have_notes(work):
        return lambda embedder, shard: read(work, embedder, shard)
    found = {(record.embedder, record.shard): record for record in finished(work, embedders)}
    return lambda embedder, shard: found.get((embedder, shard))


def remove_other_attempts(work: epath.Path, finished: Collection[ShardRecord]) -> None:
    """Removes the files of attempts that no record names. Call it once the job has ended."""
    for embedder in {record.embedder for record in finished}:
        named = {record.file for record in finished if record.embedder == embedder}
        _remove(work / embedder, lambda file, named=named: file not in named)


def read(work: epath.Path, embedder: str, shard: str) -> ShardRecord | None:
    """Reads the record of a file. None: there is none, or it was damaged, e.g. by a power cut."""
    text = finished_files.read_record(work / embedder, shard)
    return None if text is None else _parse(text)


def commit(work: epath.Path, record: ShardRecord, *, temporary: epath.Path) -> None:
    """Puts the file of an attempt in its place, and then writes its record."""
    folder = work / record.embedder
    if finished_files.have_notes(work):
        finished_files.put(temporary, folder / record.file, record=_text(record))
    else:
        storage.move_in(temporary, folder / record.file)
        write(work, record)


def write(work: epath.Path, record: ShardRecord) -> None:
    """Writes the record of a file."""
    finished_files.write_record(work / record.embedder, shard=record.shard, file=record.file, record=_text(record))


def _text(record: ShardRecord) -> str:
    return json.dumps(dataclasses.asdict(record))


def _parse(text: str) -> ShardRecord | None:
    try:
        return ShardRecord(**json.loads(text))
    except (ValueError, TypeError):
        return None


def plan_digest(shard: Shard, *, embedder: str, row: str, examples: manifest.Manifest) -> str:
    """Returns a digest of what decides the content of a file.

    Args:
        shard: What is embedded.
        embedder: Digest of the embedder.
        row: What a row holds, see `info.RowKind`.
        examples: What is recorded of the files of examples.
    """
    # The folder of the examples is left out, so that an interrupted job goes on when it was moved.
    planned = {**dataclasses.asdict(shard), "examples": _content(epath.Path(shard.examples), examples)}
    return storage.text_digest(json.dumps([planned, embedder, row]))


def _content(file: epath.Path, examples: manifest.Manifest) -> str:
    """Returns what tells one content of a file of examples from another."""
    recorded = examples.digest(file.name)
    if recorded is not None:
        return recorded.sha256
    return f"{storage.size(file)} {storage.modified_s(file)}"  # Another program wrote the examples.


def _remove(folder: epath.Path, is_removed: Callable[[str], bool]) -> None:
    names = [entry.name for entry in storage.entries(folder) if not entry.is_folder and is_removed(entry.name)]
    storage.remove_files(folder, names)
