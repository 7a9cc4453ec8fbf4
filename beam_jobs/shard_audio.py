"""Audio files to TFRecord shards, shard by shard: audio never crosses a shuffle.

The Beam element is an output shard. One call decodes the clips of its shard, writes them under a temporary name,
renames the file and then writes a record of it into `_done/`. Order and bytes depend on the clips alone, and a rerun
into the same folder skips every shard whose record and file are there.
"""

import dataclasses
import hashlib
import itertools
import json
import math
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

import apache_beam as beam
import numpy as np
from etils import epath

from beam_jobs import audio, examples, runners, sources

DONE = "_done"
_SHARD_BYTES = 128 * 2**20
_MIN_TRAIN_SHARDS = 8
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardRecord:
    """What one finished shard holds, as kept in `_done/<file>.json`.

    Attributes:
        file: Name of the TFRecord file.
        split: "train", "valid" or "eval".
        listed: How many clips it was given.
        clips: How many examples were written: a long recording gives several.
        bytes: Size of the file.
        sha256: Of the file.
        plan: Digest of what was to be written, so that a rerun with other clips writes anew.
        quarantined: One mapping with `clip_id`, `path`, `cause` and `message` for each clip left out.
    """

    file: str
    split: str
    listed: int
    clips: int
    bytes: int
    sha256: str
    plan: str
    quarantined: tuple[Mapping[str, str], ...] = ()


def plan_shards(clips: Sequence[sources.Clip], *, sample_rate: int, shards: int | None = None) -> list[Shard]:
    """Divides clips among shards of equal length, before any audio is read.

    Each split is ordered by a hash of the clip ids, so that every shard is a fair sample of it.

    Args:
        clips: To write.
        sample_rate: In Hz, to guess sizes by.
        shards: Files of the train split, other splits in proportion; None for about 128 MB each, at least 8 of train.
    """
    by_split: dict[str, list[sources.Clip]] = defaultdict(list)
    for clip in sorted(clips, key=lambda clip: (hashlib.blake2b(clip.clip_id.encode()).digest(), clip.clip_id)):
        by_split[clip.split].append(clip)
    plans = []
    for split in examples.SPLITS:
        members = by_split[split]
        if shards is None:
            count = max(
                round(_guess_bytes(members, sample_rate) / _SHARD_BYTES), _MIN_TRAIN_SHARDS if split == "train" else 1
            )
        else:
            count = shards if split == "train" else round(shards * len(members) / max(1, len(by_split["train"])))
        count = max(1, min(count, len(members)))
        bounds = [len(members) * i // count for i in range(count + 1)]
        plans += [
            Shard(split=split, shard=i, shards=count, clips=tuple(members[bounds[i] : bounds[i + 1]]))
            for i in range(count)
            if members
        ]
    return plans


def write_shards(
    shards: Sequence[Shard],
    *,
    source: epath.PathLike,
    work_dir: epath.PathLike,
    label_names: Sequence[str],
    sample_rate: int,
    max_seconds: float | None = None,
    beam_args: Sequence[str] = (),
) -> list[ShardRecord]:
    """Runs the Beam job and returns the records, in the order of `shards`.

    Args:
        shards: From `plan_shards`.
        source: The folder that the clips' paths are relative to.
        work_dir: Where the shards go, and a rerun finds them.
        label_names: Display names in index order.
        sample_rate: To resample to, in Hz.
        max_seconds: Longer recordings are cut into equal parts of at most this length; segments of AudioSet are not.
        beam_args: See `runners.pipeline`.
    """
    work = epath.Path(work_dir)
    (work / DONE).mkdir(parents=True, exist_ok=True)
    write = WriteShard(str(source), str(work), tuple(label_names), sample_rate, max_seconds)
    with runners.pipeline(beam_args) as pipeline:
        # Reshuffle breaks the fusion with Create, so that every shard can go to another worker.
        _ = pipeline | "Shards" >> beam.Create(shards) | beam.Reshuffle() | "Write" >> beam.ParDo(write)
    return [_read_record(work, shard.file) for shard in shards]


def finished(work_dir: epath.PathLike, *, known: Collection[str] = ()) -> list[ShardRecord]:
    """The records of the shards that are done so far, less those of the files in `known`: to watch a running job by."""
    folder = epath.Path(work_dir)
    names = sorted(path.name.removesuffix(".json") for path in (folder / DONE).glob("*.json"))
    return [_read_record(folder, name) for name in names if name not in known]


class WriteShard(beam.DoFn):
    """Writes one shard, unless it is there already."""

    def __init__(
        self,
        source: str,
        work_dir: str,
        label_names: tuple[str, ...],
        sample_rate: int,
        max_seconds: float | None = None,
    ):
        self._source = source
        self._work_dir = work_dir
        self._labels = {name: index for index, name in enumerate(label_names)}
        self._sample_rate = sample_rate
        self._max_seconds = max_seconds

    def process(self, shard: Shard) -> Iterator[str]:
        import tensorflow as tf

        work = epath.Path(self._work_dir)
        plan = self._plan(shard)
        if _is_done(work, shard.file, plan=plan):
            return
        # A name of its own, because a runner may try the same shard twice at a time.
        temporary = work / f"{shard.file}.{uuid.uuid4().hex[:8]}.writing"
        written, quarantined = 0, []
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for clip in shard.clips:
                try:
                    samples = self._decode(clip)
                except audio.DecodeError as error:
                    quarantined.append(quarantine_entry(clip, cause=error.cause, message=str(error)))
                    continue
                for example in self._encode(clip, samples):
                    writer.write(example)
                    written += 1
        digest, size = _sha256(temporary)
        temporary.replace(work / shard.file)
        record = ShardRecord(
            file=shard.file,
            split=shard.split,
            listed=len(shard.clips),
            clips=written,
            bytes=size,
            sha256=digest,
            plan=plan,
            quarantined=tuple(quarantined),
        )
        _write_record(work, record)
        yield shard.file

    def _decode(self, clip: sources.Clip) -> np.ndarray:
        path = epath.Path(self._source) / clip.path
        segment = {}
        if clip.start_s is not None and not clip.trimmed:
            # A file named after the recording alone may hold the segment or the whole recording.
            length = clip.end_s - clip.start_s
            if audio.duration_s(path) > length + 1.0:
                segment = {"start_s": clip.start_s, "end_s": clip.end_s}
        return audio.decode(path, sample_rate=self._sample_rate, **segment)

    def _encode(self, clip: sources.Clip, samples: np.ndarray) -> Iterator[bytes]:
        parts = 1
        if clip.start_s is None and self._max_seconds is not None:
            parts = math.ceil(samples.size / (self._max_seconds * self._sample_rate))
        bounds = [samples.size * i // parts for i in range(parts + 1)]
        for start, end in itertools.pairwise(bounds):
            offset = start / self._sample_rate
            yield examples.encode(
                audio=samples[start:end],
                clip_id=clip.clip_id if parts == 1 else f"{clip.clip_id}@{offset:.2f}",
                labels=[self._labels[name] for name in clip.labels],
                fold=clip.fold,
                start_s=(clip.start_s or 0.0) + offset,
                source=clip.path,
            )

    def _plan(self, shard: Shard) -> str:
        described = json.dumps(
            [dataclasses.asdict(shard), self._labels, self._source, self._sample_rate, self._max_seconds]
        )
        return hashlib.sha256(described.encode()).hexdigest()


def quarantine_entry(clip: sources.Clip, *, cause: str, message: str) -> dict[str, str]:
    """How a clip that cannot be used is written down."""
    return {"clip_id": clip.clip_id, "path": clip.path, "cause": cause, "message": " ".join(message.split())}


def _is_done(work: epath.Path, file: str, *, plan: str) -> bool:
    if not (work / DONE / f"{file}.json").exists() or not (work / file).exists():
        return False
    record = _read_record(work, file)
    return record.plan == plan and record.bytes == (work / file).stat().length


def _read_record(work: epath.Path, file: str) -> ShardRecord:
    fields = json.loads((work / DONE / f"{file}.json").read_text())
    return ShardRecord(**{**fields, "quarantined": tuple(fields["quarantined"])})


def _write_record(work: epath.Path, record: ShardRecord) -> None:
    temporary = work / DONE / f"{record.file}.{uuid.uuid4().hex[:8]}.writing"
    temporary.write_text(json.dumps(dataclasses.asdict(record), indent=1))
    temporary.replace(work / DONE / f"{record.file}.json")


def _sha256(path: epath.Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def _guess_bytes(clips: Sequence[sources.Clip], sample_rate: int) -> float:
    lengths = (_TYPICAL_CLIP_S if clip.end_s is None else clip.end_s - (clip.start_s or 0.0) for clip in clips)
    return 2 * sample_rate * sum(lengths)
