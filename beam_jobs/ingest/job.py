"""Audio files to TFRecord shards, shard by shard: audio never crosses a shuffle.

The Beam element is the name of an output shard, whose clips are in `_plan/`. One call decodes them, writes them under a
temporary name, renames the file and then writes a record of it into `_done/`. Order and bytes depend on the clips
alone, and a rerun into the same folder skips every shard whose record and file are there.
"""

import dataclasses
import itertools
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence

import apache_beam as beam
from etils import epath

from beam_jobs import audio, examples, runners, sources, storage
from beam_jobs.audio import decoder, readers
from beam_jobs.ingest import plan as shard_plan
from beam_jobs.ingest import records as shard_records
from beam_jobs.ingest.plan import Shard, plan_shards
from beam_jobs.sources import tfds_source

__all__ = ["Job", "Shard", "WriteShard", "build", "plan_shards", "write_shards"]

_NAMESPACE = "ingest"  # of the counters


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What decides the bytes of a shard, besides its clips.

    Attributes:
        source: The folder that the clips' paths are relative to.
        label_names: Display names in index order.
        sample_rate: To resample to, in Hz.
        max_seconds: Longer recordings are cut into equal parts of at most this length; segments of AudioSet are not.
        rules: Which clips are refused.
        storage: One of `examples.STORAGES`.
    """

    source: str
    label_names: tuple[str, ...]
    sample_rate: int
    max_seconds: float | None = None
    rules: audio.Rules = dataclasses.field(default_factory=audio.Rules)
    storage: str = "pcm"

    def digest(self, plan: str) -> str:
        """Of this and the digest of a plan."""
        return storage.text_digest(json.dumps([plan, dataclasses.asdict(self)]))


def write_shards(
    shards: Sequence[Shard],
    *,
    job: Job,
    work_dir: epath.PathLike,
    refused: Mapping[str, int] | None = None,
    beam_args: Sequence[str] = (),
) -> list[shard_records.ShardRecord]:
    """Runs the Beam job and returns the records, in the order of `shards`.

    Args:
        shards: From `plan_shards`.
        job: How to write them.
        work_dir: Where the shards go, and a rerun finds them.
        refused: Cause -> how many rows were refused at listing: for the counters, so that they account for all rows.
        beam_args: See `runners.pipeline`.

    Raises:
        LostClipsError: if not every clip ended as exactly one of written and quarantined.
        OptionsError: Beam does not accept the flags.
    """
    work = epath.Path(work_dir)
    with runners.pipeline(beam_args) as pipeline:
        build(pipeline, shards, job=job, work_dir=work, refused=refused)
    records = [shard_records.read(work, shard.file) for shard in shards]
    for shard, record in zip(shards, records, strict=True):
        shard_records.check_nothing_lost(shard, record)
    return records


def build(
    pipeline: beam.Pipeline,
    shards: Sequence[Shard],
    *,
    job: Job,
    work_dir: epath.PathLike,
    refused: Mapping[str, int] | None = None,
) -> None:
    """Saves the plan and adds the job to a pipeline; the arguments are those of `write_shards`."""
    work = epath.Path(work_dir)
    (work / shard_records.DONE).mkdir(parents=True, exist_ok=True)
    shard_plan.save(work, shards)
    # Reshuffle breaks the fusion with Create, so that every shard can go to another worker.
    names, write = [shard.file for shard in shards], WriteShard(job, work_dir=str(work))
    _ = pipeline | "Shards" >> beam.Create(names) | beam.Reshuffle() | "Write" >> beam.ParDo(write)
    if refused:
        _ = pipeline | "Refused" >> beam.Create(sorted(refused.items())) | "Count" >> beam.MapTuple(_count_quarantined)


class WriteShard(beam.DoFn):
    """Writes one shard, given by name, unless it is there already."""

    def __init__(self, job: Job, *, work_dir: str):
        self._job = job
        self._work_dir = work_dir
        self._labels = {name: index for index, name in enumerate(job.label_names)}
        self._decoder: decoder.Decoder | None = None

    def setup(self) -> None:
        self._decoder = decoder.Decoder(sample_rate=self._job.sample_rate, rules=self._job.rules)

    def teardown(self) -> None:
        if self._decoder is not None:
            self._decoder.close()

    def process(self, file: str) -> Iterator[str]:
        import tensorflow as tf

        work = epath.Path(self._work_dir)
        shard, digest = shard_plan.load(work, file)
        plan = self._job.digest(digest)
        if shard_records.is_done(work, file, plan=plan):
            _count("shards found done")
            return
        # A name of its own, because a runner may try the same shard twice at a time.
        temporary = storage.unfinished_name(work / file)
        count, written, quarantined = 0, [], []
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for clip, decoded in self._decoded(shard):
                if isinstance(decoded, audio.DecodeError):
                    entry = shard_records.quarantine_entry(clip, cause=decoded.cause, message=str(decoded))
                    quarantined.append(entry)
                    _count_quarantined(decoded.cause)
                    continue
                for example in self._encode(clip, decoded):
                    writer.write(example)
                    count += 1
                written.append(clip.clip_id)
                _count("written")
        sha256, size = storage.file_digest(temporary)
        temporary.replace(work / file)
        record = shard_records.ShardRecord(
            file=file,
            split=shard.split,
            listed=len(shard.clips),
            written=len(written),
            written_ids=shard_records.ids_digest(written),
            clips=count,
            bytes=size,
            sha256=sha256,
            plan=plan,
            quarantined=tuple(quarantined),
        )
        shard_records.write(work, record)
        yield file

    def _decoded(self, shard: Shard) -> Iterator[tuple[sources.Clip, audio.Decoded | audio.DecodeError]]:
        """Every clip of the shard, with its sound or why there is none."""
        for clip, source in self._sources(shard):
            started = time.monotonic()
            try:
                decoded = self._decode(clip, source)
            except audio.DecodeError as error:
                yield clip, error
                continue
            _measure("decode ms", 1000 * (time.monotonic() - started))
            _measure("clip ms", 1000 * decoded.samples.size / self._job.sample_rate)
            yield clip, decoded

    def _sources(self, shard: Shard) -> Iterator[tuple[sources.Clip, epath.Path | bytes | audio.DecodeError]]:
        """Every clip of the shard, with the place of its file or what a TFDS dataset holds of it."""
        if shard.clips[0].record is None:
            yield from ((clip, sources.locate(self._job.source, clip.path)) for clip in shard.clips)
        else:
            yield from tfds_source.read(self._job.source, shard.clips)

    def _decode(self, clip: sources.Clip, source: epath.Path | bytes | audio.DecodeError) -> audio.Decoded:
        if isinstance(source, audio.DecodeError):
            raise source
        if not isinstance(source, bytes):
            source = readers.fetch(source, timeout_s=self._job.rules.timeout_s)
        return self._decoder.decode(source, start_s=clip.start_s, end_s=clip.end_s, trimmed=clip.trimmed)

    def _encode(self, clip: sources.Clip, decoded: audio.Decoded) -> Iterator[bytes]:
        samples, parts = decoded.samples, 1
        if clip.start_s is None and self._job.max_seconds is not None:
            parts = math.ceil(samples.size / (self._job.max_seconds * self._job.sample_rate))
        bounds = [samples.size * i // parts for i in range(parts + 1)]
        for start, end in itertools.pairwise(bounds):
            offset = start / self._job.sample_rate
            yield examples.encode(
                audio=samples[start:end],
                clip_id=clip.clip_id if parts == 1 else f"{clip.clip_id}@{offset:.2f}",
                labels=[self._labels[name] for name in clip.labels],
                fold=clip.fold,
                start_s=(clip.start_s or 0.0) + offset,
                source=clip.path,
                source_codec=decoded.codec,
                source_rate=decoded.rate,
                storage=self._job.storage,
                sample_rate=self._job.sample_rate,
            )


def _count(what: str, number: int = 1) -> None:
    beam.metrics.Metrics.counter(_NAMESPACE, what.replace(" ", "_")).inc(number)


def _count_quarantined(cause: str, number: int = 1) -> None:
    _count(f"quarantined {cause}", number)


def _measure(what: str, value: float) -> None:
    beam.metrics.Metrics.distribution(_NAMESPACE, what.replace(" ", "_")).update(round(value))
