"""Decides which clip goes into which shard, before any audio is read, and saves the plan.

    _plan/shards.<digest>.jsonl    one line per shard with its clips
    _plan/index.json               the name of that file, and where in it the line of each shard is

So a worker reads the clips of a shard in one request, and saving takes two for all shards. The file is named after its
content: a worker of a job that was thought dead never reads its shard from the plan of another job.
"""

import dataclasses
import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from etils import epath

from beam_jobs import examples, sources, storage

PLAN = "_plan"
SHARD_BYTES = 128 * 2**20
_SHARDS_PER_WORKER = 8
_TYPICAL_CLIP_S = 10.0
_LONGEST_CLIP_S = 3600.0  # A wrong end in a list would else make a shard of each clip.
_INDEX = "index.json"
_SHARD_NAME = re.compile(r"[^.]+\.tfrecord-\d+-of-\d+")  # Names of shards' files and records begin with it.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """One file to write.

    Attributes:
        split: "train", "valid" or "eval".
        shard: Number of this shard in its split, from 0.
        shards: Number of shards of the split.
        clips: The clips to write, in order.
    """

    split: str
    shard: int
    shards: int
    clips: tuple[sources.Clip, ...]

    @property
    def file(self) -> str:
        return examples.file_name(self.split, shard=self.shard, shards=self.shards)


def plan_shards(
    clips: Sequence[sources.Clip],
    *,
    sample_rate: int,
    shards: int | None = None,
    workers: int = 1,
    shard_bytes: int = SHARD_BYTES,
) -> list[Shard]:
    """Divides clips among shards; the shards of a split differ by at most one clip.

    The clips of a split are ordered by a hash of their ids, so that every shard is a fair sample of the split. Records
    of a TFDS dataset keep their order instead, so that a shard is a contiguous range of records.

    Args:
        clips: The clips to write, each `clip_id` once.
        sample_rate: Of the stored examples, in Hz; determines their size.
        shards: Number of shards of the train split. The other splits get a number in proportion. Without a train
            split, it is the number of shards of all splits together. If None, `workers` and `shard_bytes` decide.
        workers: Number of workers. Over all splits there are at least eight shards per worker, so that no worker
            waits long for the last shard.
        shard_bytes: Intended size of a shard. No audio is read, so a file of unlisted length counts as 10 s, and no
            clip counts more than an hour: a folder of hours-long recordings gives larger shards, unless `shards` is
            given.
    """
    by_split: dict[str, list[sources.Clip]] = defaultdict(list)
    for clip in sorted(clips, key=_order):
        by_split[clip.split].append(clip)
    clips_of_shards = len(by_split["train"]) or len(clips)
    planned = []
    for split in examples.SPLITS:
        members = by_split[split]
        if not members:
            continue
        if shards is None:
            for_workers = math.ceil(_SHARDS_PER_WORKER * workers * len(members) / len(clips))
            for_size = round(_estimate_bytes(members, sample_rate) / shard_bytes)
            count = max(for_size, for_workers)
        else:
            count = round(shards * len(members) / clips_of_shards)
        planned += _divide(members, split=split, count=max(1, min(count, len(members))))
    return planned


class SavedPlan:
    """A plan that was saved in a work folder.

    Args:
        work: The folder.
    """

    def __init__(self, work: epath.Path):
        index = json.loads((work / PLAN / _INDEX).read_text())
        self._file = work / PLAN / index["file"]
        self._lines: dict[str, tuple[int, int, str]] = index["shards"]

    def digest(self, shard: str) -> str:
        """Returns a digest of a shard and its clips."""
        return self._lines[shard][2]

    def load(self, shard: str) -> Shard:
        """Loads a shard.

        Raises:
            FileNotFoundError: Another job has saved another plan since.
        """
        start, size, _ = self._lines[shard]
        fields = json.loads(storage.read_range(self._file, start=start, size=size))
        clips = tuple(sources.Clip(**{**clip, "labels": tuple(clip["labels"])}) for clip in fields["clips"])
        return Shard(**{**fields, "clips": clips})


def save(work: epath.Path, shards: Sequence[Shard]) -> None:
    """Saves a plan, and removes unfinished files and what an earlier job in this folder wrote for another plan."""
    (work / PLAN).mkdir(parents=True, exist_ok=True)
    with storage.scratch(work / PLAN / _INDEX) as temporary:
        index = _write_lines(temporary, shards)
        sizes = storage.file_sizes(work)
        if sizes.get(f"{PLAN}/{index['file']}") != index["bytes"]:  # A power cut may have left it empty.
            storage.move_in(temporary, work / PLAN / index["file"])
    storage.remove_files(work, [name for name in sizes if _is_left_over(name, index)])
    storage.write_text(work / PLAN / _INDEX, json.dumps(index), concurrent=True)


def _write_lines(file: epath.Path, shards: Sequence[Shard]) -> dict[str, object]:
    """Writes the lines of a plan, and returns its index."""
    sha256, position, lines = hashlib.sha256(), 0, {}
    with file.open("wb") as stream:
        for shard in shards:
            text = json.dumps(dataclasses.asdict(shard), separators=(",", ":"))
            line = text.encode()
            lines[shard.file] = (position, len(line), storage.text_digest(text))
            position += stream.write(line + b"\n")
            sha256.update(line + b"\n")
    return {"file": f"shards.{sha256.hexdigest()[:16]}.jsonl", "bytes": position, "shards": lines}


def _is_left_over(name: str, index: Mapping[str, object]) -> bool:
    """Returns whether a file of the work folder is unfinished, or belongs to another plan."""
    folder, _, file = name.rpartition("/")
    if folder == PLAN and file.endswith((".jsonl", storage.UNFINISHED)):
        return file != index["file"]
    shard = _SHARD_NAME.match(file)
    if shard is None or "/" in folder:
        return False
    # Earlier versions saved a plan as one file for each shard.
    return folder == PLAN or file.endswith(storage.UNFINISHED) or shard[0] not in index["shards"]


def pinned_workers(work: epath.Path, workers: int) -> int:
    """Returns the number of workers that the first job in this folder was planned for, and saves it.

    A rerun on a machine with another number of cores therefore plans the same shards and keeps the finished ones.

    Args:
        work: The work folder.
        workers: The number to save if this is the first job.
    """
    saved = work / PLAN / "workers"
    text = saved.read_text() if saved.exists() else ""
    if not text.isdigit():  # A power cut may have left it empty.
        text = str(workers)
        saved.parent.mkdir(parents=True, exist_ok=True)
        storage.write_text(saved, text)
    return int(text)


def _order(clip: sources.Clip) -> tuple[str, int] | tuple[bytes, str]:
    if clip.record is not None:
        return clip.path, clip.record
    return hashlib.blake2b(clip.clip_id.encode()).digest(), clip.clip_id


def _divide(clips: list[sources.Clip], *, split: str, count: int) -> list[Shard]:
    bounds = [len(clips) * i // count for i in range(count + 1)]
    return [
        Shard(split=split, shard=i, shards=count, clips=tuple(clips[bounds[i] : bounds[i + 1]])) for i in range(count)
    ]


def _estimate_bytes(clips: Sequence[sources.Clip], sample_rate: int) -> float:
    lengths = (_TYPICAL_CLIP_S if clip.end_s is None else clip.end_s - (clip.start_s or 0.0) for clip in clips)
    return 2 * sample_rate * sum(min(length, _LONGEST_CLIP_S) for length in lengths)
