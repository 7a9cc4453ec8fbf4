"""What is known of finished shards: `_done/<file>.json`, written behind the file itself."""

import dataclasses
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from etils import epath

from beam_jobs import sources, storage
from beam_jobs.ingest.plan import Shard

DONE = "_done"


class LostClipsError(Exception):
    """Clips that were neither written nor quarantined, or both: a bug or a damaged record, never the user's fault."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardRecord:
    """What one finished shard holds.

    Attributes:
        file: Name of the TFRecord file.
        split: "train", "valid" or "eval".
        listed: How many clips it was given.
        written: How many of them are in the file, as one or more examples.
        written_ids: Digest of their ids, see `ids_digest`.
        clips: How many examples were written: a long recording gives several.
        bytes: Size of the file.
        sha256: Of the file.
        plan: Digest of what was to be written, so that a rerun with other clips writes anew.
        quarantined: One mapping with `clip_id`, `path`, `cause` and `message` for each clip left out.
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
    """How a clip that cannot be used is written down."""
    return {"clip_id": clip.clip_id, "path": clip.path, "cause": cause, "message": " ".join(message.split())}


def ids_digest(clip_ids: Iterable[str]) -> str:
    """Of the ids in their order; what a record can keep of thousands of them."""
    return storage.text_digest(json.dumps(list(clip_ids)))


def check_nothing_lost(shard: Shard, record: ShardRecord) -> None:
    """Checks that each clip of a shard is exactly one of written and quarantined.

    Raises:
        LostClipsError: if not.
    """
    given = Counter(clip.clip_id for clip in shard.clips)
    left_out = Counter(entry["clip_id"] for entry in record.quarantined)
    written = [clip.clip_id for clip in shard.clips if clip.clip_id not in left_out]
    if (
        max(given.values()) > 1
        or left_out - given
        or record.written != len(written)
        or record.written_ids != ids_digest(written)
    ):
        raise LostClipsError(
            f"{record.file} was given {len(shard.clips)} clips, holds {record.written} and has {left_out.total()} in "
            f"quarantine, which does not add up clip by clip; remove {DONE}/{record.file}.json and run again"
        )


def finished(work_dir: epath.PathLike, *, known: Collection[str] = ()) -> list[ShardRecord]:
    """The records of the shards that are done so far, less those of the files in `known`: to watch a running job by."""
    folder = epath.Path(work_dir)
    names = sorted(path.name.removesuffix(".json") for path in (folder / DONE).glob("*.json"))
    return [read(folder, name) for name in names if name not in known]


def is_done(work: epath.Path, file: str, *, plan: str) -> bool:
    """Whether a file is whole and was written by this plan. Its checksum tells; that is fast beside decoding anew."""
    if not (work / DONE / f"{file}.json").exists() or not (work / file).exists():
        return False
    record = read(work, file)
    return record.plan == plan and (record.sha256, record.bytes) == storage.file_digest(work / file)


def read(work: epath.Path, file: str) -> ShardRecord:
    """The record of one file."""
    fields = json.loads((work / DONE / f"{file}.json").read_text())
    return ShardRecord(**{**fields, "quarantined": tuple(fields["quarantined"])})


def write(work: epath.Path, record: ShardRecord) -> None:
    """Keeps the record of one file."""
    storage.write_text(work / DONE / f"{record.file}.json", json.dumps(dataclasses.asdict(record), indent=1))
