"""Records of finished shards: `_done/<file>.json`, written after the shard itself."""

import dataclasses
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from etils import epath

from beam_jobs import sources, storage
from beam_jobs.ingest.plan import Shard


class UnaccountedClipsError(Exception):
    """Some clip was neither written nor quarantined, or was both. This is a bug or a damaged record, not user error."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardRecord:
    """The content of one finished shard.

    Attributes:
        file: Name of the TFRecord file.
        split: "train", "valid" or "eval".
        listed: Number of clips that the shard was planned for.
        written: Number of these clips that are in the file, each as one or more examples.
        written_ids: Digest of the ids of the written clips, see `ids_digest`.
        clips: Number of examples in the file; a long recording gives several.
        bytes: Size of the file.
        sha256: Digest of the file.
        plan: Digest of the job and the planned shard, so that a rerun with other clips or settings writes it again.
        quarantined: One mapping for each quarantined clip, see `quarantine_entry`.
    """

    file: str
    split: str
    listed: int
    written: int
    written_ids: str
    clips: int
    bytes: int
    sha256: str
    plan: str
    quarantined: tuple[Mapping[str, str], ...] = ()


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
            f"{record.file} was given {len(shard.clips)} clips, holds {record.written} and has "
            f"{quarantined.total()} in quarantine, which does not add up clip by clip; remove "
            f"{storage.RECORDS_FOLDER}/{record.file}.json and run again"
        )


def finished(work_dir: epath.PathLike, *, known: Collection[str] = ()) -> list[ShardRecord]:
    """Returns the records of the shards that are finished so far, which tells the progress of a running job.

    Args:
        work_dir: The work folder of the job.
        known: Files whose records are not read again and not returned.
    """
    folder = epath.Path(work_dir)
    files = sorted(path.name.removesuffix(".json") for path in (folder / storage.RECORDS_FOLDER).glob("*.json"))
    return [read(folder, file) for file in files if file not in known]


def is_done(work: epath.Path, file: str, *, plan: str) -> bool:
    """Returns whether a file is whole, by its checksum, and was written for the plan with this digest.

    The checksum is cheap: decoding the clips again takes much longer.
    """
    if not _record_file(work, file).exists() or not (work / file).exists():
        return False
    record = read(work, file)
    return record.plan == plan and (record.sha256, record.bytes) == storage.file_digest(work / file)


def read(work: epath.Path, file: str) -> ShardRecord:
    """Reads the record of one file."""
    fields = json.loads(_record_file(work, file).read_text())
    return ShardRecord(**{**fields, "quarantined": tuple(fields["quarantined"])})


def write(work: epath.Path, record: ShardRecord) -> None:
    """Writes the record of one file."""
    content = json.dumps(dataclasses.asdict(record), indent=1)
    storage.write_text(_record_file(work, record.file), content, concurrent=True)


def _record_file(work: epath.Path, file: str) -> epath.Path:
    return work / storage.RECORDS_FOLDER / f"{file}.json"
