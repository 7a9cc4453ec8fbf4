"""Records of finished shards; see `beam_jobs.finished_files` for where they lie and why they are never mixed up."""

import dataclasses
import errno
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from etils import epath

from beam_jobs import finished_files, sources, storage
from beam_jobs.ingest.plan import Shard

MAX_RUNS = 3
"""Number of runs that try a clip whose failure may pass; then it is final. Only runs that finish count."""


class UnaccountedClipsError(Exception):
    """Some clip was neither written nor quarantined, or was both. This is a bug or a damaged record, not user error."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardRecord:
    """The content of one finished shard.

    Attributes:
        shard: Name of the shard in the plan.
        file: Name of the TFRecord file, see `finished_files.name`.
        split: "train", "valid" or "eval".
        listed: Number of clips that the shard was planned for.
        written: Number of these clips that are in the file, each as one or more examples.
        written_ids: Digest of the ids of the written clips, see `ids_digest`.
        clips: Number of examples in the file; a long recording gives several.
        bytes: Size of the file.
        sha256: Digest of the file.
        sizes: The bytes of each example, see `examples.record_sizes.pack`.
        plan: Digest of the job and the planned shard, so that a rerun with other clips or settings writes it again.
        quarantined: One mapping for each quarantined clip, see `quarantine_entry`.
        quarantined_parts: The same for each silent part of a long recording of which other parts are in the file.
        transient: Number of the quarantined clips whose failure need not be damage of the file.
        run: If there are such clips, the run that has tried them. Another run writes the shard again, at most
            until `MAX_RUNS`.
        runs: Number of finished runs that had such clips, see `count_run`.
    """

    shard: str
    file: str
    split: str
    listed: int
    written: int
    written_ids: str
    clips: int
    bytes: int
    sha256: str
    sizes: str
    plan: str
    quarantined: tuple[Mapping[str, str], ...] = ()
    quarantined_parts: tuple[Mapping[str, str], ...] = ()
    transient: int = 0
    run: str = ""
    runs: int = 0

    @property
    def to_try_again(self) -> int:
        """Number of quarantined clips that the next run tries again."""
        return self.transient if self.runs < MAX_RUNS else 0


def quarantine_entry(clip: sources.Clip, *, cause: str, message: str) -> dict[str, str]:
    """Returns how a quarantined clip is recorded and reported; line breaks in the message become spaces."""
    return {"clip_id": clip.clip_id, "path": clip.path, "cause": cause, "message": " ".join(message.split())}


def ids_digest(clip_ids: Iterable[str]) -> str:
    """Returns a digest of clip ids in order, which a record holds in place of thousands of ids."""
    return storage.text_digest(json.dumps(list(clip_ids)))


def check_every_clip_accounted_for(shard: Shard, record: ShardRecord) -> None:
    """Checks that each clip of a shard was either written or quarantined, and once.

    Raises:
        UnaccountedClipsError: it was not.
    """
    planned = Counter(clip.clip_id for clip in shard.clips)
    quarantined = Counter(entry["clip_id"] for entry in record.quarantined)
    written = [clip.clip_id for clip in shard.clips if clip.clip_id not in quarantined]
    if (
        max(planned.values()) > 1
        or quarantined - planned
        or record.written != len(written)
        or record.written_ids != ids_digest(written)
    ):
        raise UnaccountedClipsError(
            f"{record.shard} was given {len(shard.clips)} clips, holds {record.written} and has "
            f"{quarantined.total()} in quarantine, which does not add up clip by clip; remove the file {record.file} "
            "from its work folder and run again"
        )


def finished(work_dir: epath.PathLike, *, known: Collection[str] = ()) -> list[ShardRecord]:
    """Returns the records of the shards that are finished so far, which tells the progress of a running job.

    Args:
        work_dir: The work folder of the job.
        known: Shards whose records are not read again and not returned.
    """
    texts = finished_files.read_records(epath.Path(work_dir), known=known)
    return [record for record in map(_parse_if_valid, texts.values()) if record is not None]


def is_done(work: epath.Path, record: ShardRecord, *, run: str) -> bool:
    """Returns whether a shard has a whole file that leaves nothing to try again.

    The checksum of the file is cheap: decoding the clips again takes much longer.

    Args:
        work: The work folder.
        record: What is recorded of the shard.
        run: This run, which does not try again what has failed in it.
    """
    if record.to_try_again and record.run != run:
        return False
    if finished_files.have_notes(work):
        return True  # Its record was written with it.
    if not (work / record.file).exists():
        return False
    return (record.sha256, record.bytes) == storage.file_digest(work / record.file)


def count_run(work: epath.Path, finished: Iterable[ShardRecord]) -> list[ShardRecord]:
    """Counts a finished run in the records of shards with failures that may pass, and returns all records."""
    counted = []
    for record in finished:
        if record.transient:
            record = dataclasses.replace(record, runs=record.runs + 1)
            write(work, record)
        counted.append(record)
    return counted


def remove_other_attempts(work: epath.Path, finished: Iterable[ShardRecord]) -> None:
    """Removes the files of attempts that no record names. Call it once the job has ended."""
    named = {record.file for record in finished}
    names = [entry.name for entry in storage.entries(work) if not entry.is_folder and ".tfrecord-" in entry.name]
    storage.remove_files(work, [name for name in names if name not in named])


def reader(work: epath.Path) -> Callable[[str], ShardRecord | None]:
    """Returns what reads the record of a shard like `read_if_valid`; on a bucket it has read all of them at once."""
    if not finished_files.have_notes(work):
        return lambda shard: read_if_valid(work, shard)
    return {record.shard: record for record in finished(work)}.get


def read_all(work: epath.Path, shards: Sequence[Shard]) -> list[ShardRecord]:
    """Reads the records of shards that are all finished.

    Raises:
        FileNotFoundError: One has no record.
    """
    if not finished_files.have_notes(work):
        return [read(work, shard.file) for shard in shards]
    found = reader(work)
    return [found(shard.file) or read(work, shard.file) for shard in shards]


def read(work: epath.Path, shard: str) -> ShardRecord:
    """Reads the record of one shard.

    Raises:
        FileNotFoundError: There is none.
    """
    text = finished_files.read_record(work, shard)
    if text is None:
        raise FileNotFoundError(errno.ENOENT, "there is no record of this shard", f"{work}/{shard}")
    return _parse(text)


def read_if_valid(work: epath.Path, shard: str) -> ShardRecord | None:
    """Reads the record of one shard. None: there is none, or it was damaged, e.g. by a power cut."""
    text = finished_files.read_record(work, shard)
    return None if text is None else _parse_if_valid(text)


def commit(work: epath.Path, record: ShardRecord, *, temporary: epath.Path) -> None:
    """Puts the file of an attempt in its place, and then writes its record."""
    if finished_files.have_notes(work):
        finished_files.put(temporary, work / record.file, record=_text(record))
    else:
        storage.move_in(temporary, work / record.file)
        write(work, record)


def write(work: epath.Path, record: ShardRecord) -> None:
    """Writes the record of one shard."""
    finished_files.write_record(work, shard=record.shard, file=record.file, record=_text(record))


def _parse(text: str) -> ShardRecord:
    fields = json.loads(text)
    entries = {name: tuple(fields[name]) for name in ("quarantined", "quarantined_parts")}
    return ShardRecord(**{**fields, **entries})


def _parse_if_valid(text: str) -> ShardRecord | None:
    try:
        return _parse(text)
    except (ValueError, KeyError, TypeError):
        return None


def _text(record: ShardRecord) -> str:
    return json.dumps(dataclasses.asdict(record))
