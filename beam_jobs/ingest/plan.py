"""Which clip goes into which file: decided before any audio is read, and kept beside the files in `_plan/`."""

import dataclasses
import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Sequence

from etils import epath

from beam_jobs import examples, sources, storage

PLAN = "_plan"
SHARD_BYTES = 128 * 2**20
_SHARDS_A_WORKER = 8
_TYPICAL_CLIP_S = 10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """One file to write: `clips` in their order into shard number `shard` of the `shards` of a split."""

    split: str
    shard: int
    shards: int
    clips: tuple[sources.Clip, ...]

    @property
    def file(self) -> str:
        """Its file name."""
        return examples.file_name(self.split, shard=self.shard, shards=self.shards)


def plan_shards(
    clips: Sequence[sources.Clip],
    *,
    sample_rate: int,
    shards: int | None = None,
    workers: int = 1,
    shard_bytes: int = SHARD_BYTES,
) -> list[Shard]:
    """Divides clips among shards of equal length.

    Each split is ordered by a hash of the clip ids, so that every shard is a fair sample of it. The records of a TFDS
    dataset stay in their order, so that a shard is a slice of it.

    Args:
        clips: To write, no two with the same `clip_id`.
        sample_rate: In Hz, to guess sizes by.
        shards: Files of the train split, other splits in proportion; of all splits together where there is no train
            split. None for what the next two ask for.
        workers: There are at least eight shards for each, over all splits, so that none waits long for the last.
        shard_bytes: Size to aim at. No audio is read, so a file whose length no list gives is taken for 10 s: a folder
            of hours-long recordings gives larger shards, unless `shards` says how many.
    """
    by_split: dict[str, list[sources.Clip]] = defaultdict(list)
    for clip in sorted(clips, key=_order):
        by_split[clip.split].append(clip)
    whole = len(by_split["train"]) or len(clips)  # what `shards` is the number for
    plans = []
    for split in examples.SPLITS:
        members = by_split[split]
        if shards is None:
            for_workers = math.ceil(_SHARDS_A_WORKER * workers * len(members) / max(1, len(clips)))
            count = max(round(_guess_bytes(members, sample_rate) / shard_bytes), for_workers)
        else:
            count = round(shards * len(members) / max(1, whole))
        count = max(1, min(count, len(members)))
        bounds = [len(members) * i // count for i in range(count + 1)]
        plans += [
            Shard(split=split, shard=i, shards=count, clips=tuple(members[bounds[i] : bounds[i + 1]]))
            for i in range(count)
            if members
        ]
    return plans


def save(work: epath.Path, shards: Sequence[Shard]) -> None:
    """Writes the plan, and removes what an earlier job in the same folder planned otherwise or left half-written."""
    (work / PLAN).mkdir(parents=True, exist_ok=True)
    names = {shard.file for shard in shards}
    for folder in (work, *(path for path in work.iterdir() if path.is_dir())):
        for path in folder.iterdir():
            is_ours = ".tfrecord-" in path.name
            if is_ours and (path.name.endswith(storage.UNFINISHED) or path.name.removesuffix(".json") not in names):
                path.unlink()
    for shard in shards:
        target = work / PLAN / f"{shard.file}.json"
        text = json.dumps(dataclasses.asdict(shard), separators=(",", ":"))
        if not target.exists() or target.read_text() != text:
            storage.write_text(target, text)


def load(work: epath.Path, file: str) -> tuple[Shard, str]:
    """One shard of a saved plan, and a digest of it."""
    text = (work / PLAN / f"{file}.json").read_text()
    fields = json.loads(text)
    clips = tuple(sources.Clip(**{**clip, "labels": tuple(clip["labels"])}) for clip in fields["clips"])
    return Shard(**{**fields, "clips": clips}), storage.text_digest(text)


def pinned_workers(work: epath.Path, workers: int) -> int:
    """The workers that an interrupted job in this folder was planned for, else `workers`, which is noted there.

    Without it, a rerun on a machine with more cores would cut other shards and begin anew.
    """
    note = work / PLAN / "workers"
    if not note.exists():
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(str(workers))
    return int(note.read_text())


def _order(clip: sources.Clip) -> tuple:
    if clip.record is not None:
        return clip.path, clip.record
    return hashlib.blake2b(clip.clip_id.encode()).digest(), clip.clip_id


def _guess_bytes(clips: Sequence[sources.Clip], sample_rate: int) -> float:
    lengths = (_TYPICAL_CLIP_S if clip.end_s is None else clip.end_s - (clip.start_s or 0.0) for clip in clips)
    return 2 * sample_rate * sum(lengths)
