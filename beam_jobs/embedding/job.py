"""Embeds examples, one Beam element per file of examples and embedder, so that audio never crosses a shuffle.

One call reads the clips of a file, embeds their windows and writes one Parquet file under a temporary name, names it
after its content, and writes the record that names it; see `finished_files`. A rerun in the same work folder skips
every file that has its record and is whole.
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import apache_beam as beam
import numpy as np
import tensorflow as tf
from etils import epath

from beam_jobs import elements, error_text, examples, finished_files, manifest, runners, storage, worker_code
from beam_jobs.audio import pcm, resample
from beam_jobs.audio.sound import Sound
from beam_jobs.embedding import plan, records, windows
from beam_jobs.embedding.info import RowKind
from beam_jobs.embedding.shared import SharedEmbedders
from beam_jobs.embedding.write import Clip, UnusableVectorsError, Writer
from beam_jobs.examples import check, sampling


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What decides the rows, besides the clips.

    Attributes:
        info: The examples.
        embedders: The embedders.
        digests: Name of the embedder -> its digest.
        limits: Name of the embedder -> maximum number of clips of each split; None for all. See `plan.plan_shards`.
        row: What a row holds.
        batch_size: Windows that are embedded at a time.
    """

    info: examples.ExamplesInfo
    embedders: SharedEmbedders
    digests: Mapping[str, str]
    limits: Mapping[str, int | None]
    row: RowKind
    batch_size: int

    def plan(self) -> list[plan.Shard]:
        """Returns the files to write, in order. It is computed where it is needed, because Beam sends the job along."""
        return plan.plan_shards(self.info, self.limits)


def write_shards(job: Job, *, work_dir: epath.PathLike, beam_args: Sequence[str] = ()) -> list[records.ShardRecord]:
    """Runs the Beam job and returns the records of the files, in the order of `Job.plan`.

    Args:
        job: What to write.
        work_dir: The folder for the files, in which a rerun finds the finished ones.
        beam_args: See `runners.pipeline`.

    Raises:
        DamagedExamplesError: A file of the examples does not hold what was written.
        UnusableVectorsError: A vector of a clip is not finite in float16.
        OptionsError: Beam does not accept the flags.
        OtherCodeError, StillRunningError, WorkerDiedError: see `runners.run`.
    """
    work = epath.Path(work_dir)
    runners.check_free(work)  # Before unfinished files are removed.
    pipeline = runners.pipeline(beam_args)
    build(pipeline, job, work_dir=work)
    try:
        runners.run(pipeline, work_dir=work)
    except Exception as error:
        check.check_file_in(error, job.info)
        unusable = error_text.message_of(error, UnusableVectorsError.__name__)
        if unusable:
            raise UnusableVectorsError(unusable) from error
        raise
    read = records.reader(work, job.embedders.names)
    finished = [read(shard.embedder, shard.file) for shard in job.plan()]
    records.remove_other_attempts(work, finished)
    return finished


def build(pipeline: beam.Pipeline, job: Job, *, work_dir: epath.PathLike) -> None:
    """Adds the job to a pipeline. See `write_shards` for the arguments."""
    records.prepare(epath.Path(work_dir), job.embedders.names)
    shards = [(shard.embedder, shard.split, shard.shard) for shard in job.plan()]
    _ = (
        pipeline
        | "Shards" >> elements.Elements(shards, code=worker_code.of_this_process(worker_code.OF_EMBEDDING))
        | "Embed" >> beam.ParDo(EmbedShard(job, work_dir=str(work_dir)))
    )


class EmbedShard(beam.DoFn):
    """Writes a file of embeddings, unless it is already done. Yields its name if it wrote it.

    Takes embedder, split and number of a shard.

    Args:
        job: How to write it.
        work_dir: The folder for the files.

    Raises:
        DamagedExamplesError: The file of examples does not hold what was written.
        UnusableVectorsError: A vector of a clip is not finite in float16.
    """

    def __init__(self, job: Job, *, work_dir: str):
        self._job = job
        self._work_dir = work_dir
        self._launching = worker_code.of_this_process(worker_code.OF_EMBEDDING)

    def setup(self) -> None:
        worker_code.check(self._launching)
        self._shards = {(shard.embedder, shard.split, shard.shard): shard for shard in self._job.plan()}
        self._examples = manifest.Manifest.read(self._job.info.directory)

    def start_bundle(self) -> None:
        self._read_record = records.reader(epath.Path(self._work_dir), self._job.embedders.names)

    def process(self, key: tuple[str, str, int]) -> Iterator[str]:
        work, shard = epath.Path(self._work_dir), self._shards[key]
        digest = records.plan_digest(
            shard, embedder=self._job.digests[shard.embedder], row=self._job.row, examples=self._examples
        )
        earlier = self._read_record(shard.embedder, shard.file)
        if earlier is not None and earlier.plan == digest and records.is_done(work, earlier):
            return
        with storage.scratch(work / shard.embedder / shard.file) as temporary:
            try:
                record = self._write(shard, temporary, plan_digest=digest)
            except tf.errors.OpError:  # It does not name the file.
                examples.check_file(shard.examples, clips=shard.stored)
                raise
            records.commit(work, record, temporary=temporary)
        yield f"{shard.embedder}/{shard.file}"

    def _write(self, shard: plan.Shard, temporary: epath.Path, *, plan_digest: str) -> records.ShardRecord:
        """Writes the file of this attempt and returns its record."""
        embedder = self._job.embedders.get(shard.embedder)
        rate = embedder.framing.sample_rate
        sounds = _sounds(shard, info=self._job.info, sample_rate=rate)
        pieces = windows.embed(sounds, embedder, batch_size=self._job.batch_size)
        if self._job.row == "clip":
            pieces = windows.clip_means(pieces)
        with Writer(temporary, embedder=shard.embedder, split=shard.split, dims=embedder.dims) as writer:
            for piece in pieces:
                writer.add(piece.key, start_s=piece.starts / rate, end_s=piece.ends / rate, vectors=piece.vectors)
        return records.ShardRecord(
            embedder=shard.embedder,
            split=shard.split,
            shard=shard.file,
            file=finished_files.name(shard.file, sha256=writer.digest.sha256),
            clips=shard.clips,
            rows=writer.rows,
            bytes=writer.digest.bytes,
            sha256=writer.digest.sha256,
            plan=plan_digest,
        )


def _sounds(
    shard: plan.Shard, *, info: examples.ExamplesInfo, sample_rate: int
) -> Iterator[tuple[Clip, windows.ArraySound]]:
    """Yields the clips to embed, in order, with their sound at the sample rate of the embedder."""
    for example in _stored_clips(shard, info=info):
        clip = Clip(
            clip_id=example["clip_id"].decode(),
            labels=tuple(example["labels"].tolist()),
            fold=int(example["fold"]),
        )
        yield clip, windows.ArraySound(_at_rate(example["audio"], info.sample_rate, sample_rate=sample_rate))


def _stored_clips(shard: plan.Shard, *, info: examples.ExamplesInfo) -> Iterable[Mapping[str, np.ndarray]]:
    if shard.numbers is None:
        clips = examples.read_file(shard.examples, storage=info.storage, clips=shard.stored)
    else:
        parse = functools.partial(examples.parse, storage=info.storage)
        clips = sampling.read_clips(info, shard.split, numbers=shard.numbers, parse=parse)
    return clips.as_numpy_iterator()


def _at_rate(audio: np.ndarray, rate: int, *, sample_rate: int) -> np.ndarray:
    """Resamples int16 (samples,) from `rate` to `sample_rate`, both in Hz; at least one sample is left."""
    if rate == sample_rate:
        return audio
    resampled = resample.to_int16(Sound(samples=pcm.to_float(audio), rate=rate, codec=""), sample_rate=sample_rate)
    return resampled if resampled.size else audio[:1]
