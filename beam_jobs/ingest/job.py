"""Writes clips as TFRecord shards, one Beam element per shard, so that audio never crosses a shuffle.

An element is only the name of a shard; the shard's clips are in the saved plan. One call decodes the clips, writes them
under a temporary name, names the file after its content, and writes the record that names it; see `finished_files`.
Order and bytes of a shard depend on its clips alone. A rerun in the same work folder skips every shard that has its
record and its file, unless clips of it failed for reasons that may have passed.
"""

import dataclasses
import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence

import apache_beam as beam
from etils import epath

from beam_jobs import audio, elements, examples, finished_files, runners, sources, storage, worker_code
from beam_jobs.audio import decoder, levels, readers
from beam_jobs.examples import record_sizes
from beam_jobs.ingest import parts, plan, records
from beam_jobs.ingest.retries import Retries
from beam_jobs.sources import tfds_reader

_METRICS_NAMESPACE = "ingest"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What decides the bytes of a shard, besides its clips.

    Attributes:
        source: The folder that the clips' paths are relative to.
        label_names: Display names of the classes in index order.
        sample_rate: Of the stored examples, in Hz; the audio is resampled to it.
        max_seconds: Longer recordings are cut into equal parts of at most this length, see `parts.cut`; None keeps
            them whole. Listed segments are never cut.
        rules: Decide which clips are quarantined.
        storage: One of `examples.STORAGES`.
    """

    source: str
    label_names: tuple[str, ...]
    sample_rate: int
    max_seconds: float | None = None
    rules: audio.Rules = dataclasses.field(default_factory=audio.Rules)
    storage: str = "pcm"

    def digest(self, shard_digest: str) -> str:
        """Returns a digest of this job together with the digest of a planned shard.

        The source is left out, so that an interrupted job goes on when its source was moved.
        """
        return storage.text_digest(json.dumps([shard_digest, dataclasses.asdict(dataclasses.replace(self, source=""))]))


def write_shards(
    shards: Sequence[plan.Shard],
    *,
    job: Job,
    work_dir: epath.PathLike,
    quarantined: Mapping[str, int] | None = None,
    beam_args: Sequence[str] = (),
) -> list[records.ShardRecord]:
    """Runs the Beam job and returns the records of the shards, in the order of `shards`.

    Args:
        shards: See `plan.plan_shards`.
        job: How to write them.
        work_dir: The folder for the shards, in which a rerun finds the finished ones.
        quarantined: Cause -> number of clips that were quarantined during listing. They are added to the Beam
            counters, so that the counters cover all listed clips.
        beam_args: See `runners.pipeline`.

    Raises:
        UnaccountedClipsError: some clip was not exactly one of written and quarantined.
        OptionsError: Beam does not accept the flags.
        OtherCodeError, StillRunningError, WorkerDiedError: see `runners.run`.
    """
    work = epath.Path(work_dir)
    runners.check_free(work)  # Before `build`, which removes unfinished files.
    pipeline = runners.pipeline(beam_args)
    build(pipeline, shards, job=job, work_dir=work, quarantined=quarantined)
    runners.run(pipeline, work_dir=work)
    finished = records.read_all(work, shards)
    for shard, record in zip(shards, finished, strict=True):
        records.check_every_clip_accounted_for(shard, record)
    records.remove_other_attempts(work, finished)
    return finished


def build(
    pipeline: beam.Pipeline,
    shards: Sequence[plan.Shard],
    *,
    job: Job,
    work_dir: epath.PathLike,
    quarantined: Mapping[str, int] | None = None,
) -> None:
    """Saves the plan and adds the job to a pipeline. See `write_shards` for the arguments."""
    work = epath.Path(work_dir)
    (work / storage.RECORDS_FOLDER).mkdir(parents=True, exist_ok=True)
    plan.save(work, shards)
    code = worker_code.of_this_process(worker_code.OF_AUDIO)
    _ = (
        pipeline
        | "Shards" >> elements.Elements([shard.file for shard in shards], code=code)
        | "Write" >> beam.ParDo(WriteShard(job, work_dir=str(work), run=uuid.uuid4().hex))
    )
    if quarantined:
        _ = (
            pipeline
            | "Quarantined" >> elements.Elements(sorted(quarantined.items()), code=code)
            | "Count" >> beam.MapTuple(_count_quarantined)
        )


class WriteShard(beam.DoFn):
    """Writes the shard with the given name, unless it is already done. Yields the name if it wrote the shard.

    Args:
        job: How to write it.
        work_dir: The folder of the plan and of the shards.
        run: Name of this run. It tries again what failed for passing reasons in other runs.
    """

    def __init__(self, job: Job, *, work_dir: str, run: str = ""):
        self._job = job
        self._work_dir = work_dir
        self._run = run
        self._launching = worker_code.of_this_process(worker_code.OF_AUDIO)
        self._labels = {name: index for index, name in enumerate(job.label_names)}
        self._decoder: decoder.Decoder | None = None
        self._plan: plan.SavedPlan | None = None
        self._read_record: Callable[[str], records.ShardRecord | None] | None = None

    def setup(self) -> None:
        worker_code.check(self._launching)
        self._decoder = decoder.Decoder(sample_rate=self._job.sample_rate, rules=self._job.rules)

    def start_bundle(self) -> None:
        work = epath.Path(self._work_dir)
        self._plan, self._read_record = plan.SavedPlan(work), records.reader(work)

    def teardown(self) -> None:
        if self._decoder is not None:
            self._decoder.close()

    def process(self, name: str) -> Iterator[str]:
        if self._plan is None:
            self.start_bundle()
        work = epath.Path(self._work_dir)
        digest = self._job.digest(self._plan.digest(name))
        earlier = self._read_record(name)
        if earlier is not None and earlier.plan != digest:
            earlier = None
        if earlier is not None and records.is_done(work, earlier, run=self._run):
            _count("shards found done")
            return
        with storage.scratch(work / name) as temporary:
            record = self._write(self._plan.load(name), temporary, plan_digest=digest)
            if record.transient and earlier is not None:
                record = dataclasses.replace(record, runs=earlier.runs)
            records.commit(work, record, temporary=temporary)
        yield name

    def _write(self, shard: plan.Shard, temporary: epath.Path, *, plan_digest: str) -> records.ShardRecord:
        """Writes the file of this attempt and returns its record."""
        count, written, quarantined, quarantined_parts, transient = 0, [], [], [], 0
        with examples.Writer(temporary) as writer:
            for clip, decoded in self._decode_all(shard):
                if isinstance(decoded, audio.DecodeError):
                    quarantined.append(records.quarantine_entry(clip, cause=decoded.cause, message=str(decoded)))
                    transient += decoded.transient
                    _count_quarantined(decoded.cause)
                    continue
                loud, silent = self._cut(clip, decoded)
                for part in loud:
                    writer.write(self._encode(clip, decoded, part))
                count += len(loud)
                quarantined_parts += silent
                written.append(clip.clip_id)
                _count("written")
        sha256, size = writer.digest
        return records.ShardRecord(
            shard=shard.file,
            file=finished_files.name(shard.file, sha256=sha256),
            split=shard.split,
            listed=len(shard.clips),
            written=len(written),
            written_ids=records.ids_digest(written),
            clips=count,
            bytes=size,
            sha256=sha256,
            sizes=record_sizes.pack(writer.sizes),
            plan=plan_digest,
            quarantined=tuple(quarantined),
            quarantined_parts=tuple(quarantined_parts),
            transient=transient,
            run=self._run if transient else "",
        )

    def _decode_all(self, shard: plan.Shard) -> Iterator[tuple[sources.Clip, audio.Decoded | audio.DecodeError]]:
        """Yields every clip of the shard with its audio, or with the error if it cannot be decoded."""
        retries = Retries()
        for clip, source in self._open_all(shard, retries):
            started = time.monotonic()
            try:
                decoded = self._decode_patiently(clip, source, retries)
            except audio.DecodeError as error:
                yield clip, error
                continue
            _measure("decode ms", 1000 * (time.monotonic() - started))
            _measure("clip ms", 1000 * decoded.samples.size / self._job.sample_rate)
            yield clip, decoded

    def _open_all(
        self, shard: plan.Shard, retries: Retries
    ) -> Iterator[tuple[sources.Clip, epath.Path | bytes | audio.DecodeError]]:
        """Yields every clip of the shard with the path of its file, or with what a TFDS dataset holds of it."""
        if shard.clips[0].record is None:
            for clip in shard.clips:
                yield clip, sources.locate(self._job.source, clip.path)
        else:
            yield from tfds_reader.read(self._job.source, shard.clips, wait=retries.wait)

    def _decode_patiently(
        self, clip: sources.Clip, source: epath.Path | bytes | audio.DecodeError, retries: Retries
    ) -> audio.Decoded:
        """Decodes a clip, in several tries if its failures may pass."""
        if isinstance(source, audio.DecodeError):
            raise source
        for tries in itertools.count(1):
            try:
                return self._decode(clip, source)
            except audio.DecodeError as error:
                if not (error.transient and retries.wait(tries)):
                    raise

    def _decode(self, clip: sources.Clip, source: epath.Path | bytes) -> audio.Decoded:
        if not isinstance(source, bytes):
            source = readers.fetch(source, timeout_s=self._job.rules.timeout_s)
        return self._decoder.decode(source, start_s=clip.start_s, end_s=clip.end_s, trimmed=clip.trimmed)

    def _cut(self, clip: sources.Clip, decoded: audio.Decoded) -> tuple[list[parts.Part], list[Mapping[str, str]]]:
        """Returns the parts of a clip to store, and the quarantine entries of those that are silent."""
        cut = parts.cut(
            clip,
            samples=decoded.samples.size,
            sample_rate=self._job.sample_rate,
            max_seconds=self._job.max_seconds,
        )
        if len(cut) == 1:  # The decoder has checked it.
            return cut, []
        loud, silent = [], []
        for part in cut:
            try:
                audio.check_level(levels.peak(decoded.samples[part.start : part.end]), rules=self._job.rules)
                loud.append(part)
            except audio.DecodeError as error:
                of_part = dataclasses.replace(clip, clip_id=part.clip_id)
                silent.append(records.quarantine_entry(of_part, cause=error.cause, message=str(error)))
                _count(f"quarantined parts {error.cause}")
        return loud, silent

    def _encode(self, clip: sources.Clip, decoded: audio.Decoded, part: parts.Part) -> bytes:
        """Returns the example of a clip, or of a part of it."""
        return examples.encode(
            audio=decoded.samples[part.start : part.end],
            clip_id=part.clip_id,
            labels=[self._labels[name] for name in clip.labels],
            fold=clip.fold,
            start_s=(clip.start_s or 0.0) + part.start / self._job.sample_rate,
            source=clip.path,
            source_codec=decoded.codec,
            source_rate=decoded.rate,
            storage=self._job.storage,
            sample_rate=self._job.sample_rate,
        )


def _count(event: str, number: int = 1) -> None:
    beam.metrics.Metrics.counter(_METRICS_NAMESPACE, event.replace(" ", "_")).inc(number)


def _count_quarantined(cause: str, number: int = 1) -> None:
    _count(f"quarantined {cause}", number)


def _measure(quantity: str, value: float) -> None:
    beam.metrics.Metrics.distribution(_METRICS_NAMESPACE, quantity.replace(" ", "_")).update(round(value))
