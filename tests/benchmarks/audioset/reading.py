"""Measures what reads examples, and what comes of them; see `tests.benchmarks.audioset`."""

import json
import os
import pathlib
import time
from collections.abc import Iterator

import apache_beam as beam
import numpy as np
import tensorflow as tf
from etils import epath

from beam_jobs import examples, runners
from beam_jobs.examples import record_sizes
from beam_jobs.ingest import plan
from beam_jobs.sources.clips import Clip
from beam_jobs.statistics import example_statistics, fingerprints, job, near_duplicates
from beam_jobs.statistics.sums import Sums
from components.example_validator import ExampleValidator
from components.trainer import input_pipeline
from tests.benchmarks import measuring
from tests.benchmarks.audioset import ingest, made_up
from tests.benchmarks.audioset.gauge import Gauge
from tests.components import harness

HOSTS = 32
MEASURED_HOSTS = (0, 15, 31)
CLIPS_OF_A_HOST = 8
"""In a batch: so few that 10,000 clips give several batches of all hosts."""

CLIPS_OF_FILE = 400
"""Each file of examples gets so many, as those of AudioSet do."""

_NARROW = 8


def shard_lengths(clips: int) -> dict[str, list[int]]:
    """Returns how many clips each shard of each split gets."""
    bounds = np.cumsum(list(made_up.list_lengths(clips).values()))
    listed = [
        Clip(
            clip_id=str(number),
            path="",
            start_s=0.0,
            end_s=float(made_up.CLIP_S),
            split="eval" if bounds[0] <= number < bounds[1] else "valid" if number % 20 == 0 else "train",
        )
        for number in range(clips)
    ]
    lengths: dict[str, list[int]] = {}
    for shard in plan.plan_shards(listed, sample_rate=made_up.SAMPLE_RATE, workers=ingest.WORKERS):
        lengths.setdefault(shard.split, []).append(len(shard.clips))
    return lengths


def summing(folder: pathlib.Path, clips: int, gauge: Gauge) -> None:
    """Sums and fingerprints a sample of clips of 10 s, in one thread."""
    sounds = measuring.sounds(seconds=float(made_up.CLIP_S))
    corpus = measuring.write_examples(folder / "examples", sounds=sounds, clips=clips, files=4)
    info = examples.read_info(corpus)
    summarize = job.SummarizeFile(classes=0, sample_rate=info.sample_rate, storage=info.storage, seen=None)
    with gauge.measure("statistics: sums of clips"):
        for file, length in zip(info.files("train"), info.shard_lengths["train"], strict=True):
            for _ in summarize.process(("train", file, length)):
                pass


def merge(folder: pathlib.Path, clips: int, gauge: Gauge) -> None:
    """Merges the sums of all shards and writes the statistics. Making up the sums does not count."""
    _merge(folder, clips, gauge)


def _merge(folder: pathlib.Path, clips: int, gauge: Gauge) -> None:
    lengths = shard_lengths(clips)
    making = [0.0, 0.0]

    def made(split: str) -> Iterator[Sums]:
        for shard, length in enumerate(lengths[split]):
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            sums = made_up.sums(length, shard=shard)
            making[0] += time.perf_counter() - wall_s
            making[1] += time.process_time() - cpu_s
            yield sums

    with gauge.measure("statistics: merging", shards=sum(map(len, lengths.values()))) as row:
        merged = {split: Sums.merge_all(made(split)) for split in lengths}
        job._write(
            merged,
            output=str(folder / example_statistics.FILE),
            label_names=made_up.class_names(),
            sample_rate=made_up.SAMPLE_RATE,
        )
    row["wall_s"], row["cpu_s"] = round(row["wall_s"] - making[0], 3), round(row["cpu_s"] - making[1], 3)


def validation(folder: pathlib.Path, clips: int, gauge: Gauge) -> None:
    """Validates statistics against those of another run, in which every number is the same."""
    statistics = folder / "statistics"
    statistics.mkdir()
    _merge(statistics, clips, gauge)
    del gauge.rows["statistics: merging"]
    with gauge.measure("validation"):
        executed = harness.execute(
            ExampleValidator(), folder / "run", statistics=statistics, last_statistics=statistics
        )
    assert json.loads((executed.outputs["anomalies"] / "anomalies.json").read_text()) is not None


def duplicates(folder: pathlib.Path, clips: int, gauge: Gauge) -> None:
    """Finds near duplicates by random keys, with Beam's runner for one machine. One clip in 100 is a copy."""
    numbers = beam.Create(range(0, clips, CLIPS_OF_FILE))
    output = str(folder / "pairs")
    with gauge.measure("statistics: near duplicates"):
        pipeline = runners.pipeline()
        _ = (
            pipeline
            | numbers
            | beam.Reshuffle()
            | "Keys" >> beam.FlatMap(_keyed, clips=clips)
            | near_duplicates.CrossSplitPairs(listed=job.LISTED_DUPLICATES)
            | "Text" >> beam.Map(json.dumps)
            | "Write" >> beam.Map(lambda text: pathlib.Path(output).write_text(text))
        )
        runners.run(pipeline, work_dir=folder)


def _keyed(first: int, *, clips: int) -> Iterator[near_duplicates.KeyedClips]:
    """Yields the keys of the clips of a file, by split. Every hundredth clip has the keys of the one before."""
    keyed: dict[str, list[tuple[str, list[int]]]] = {"train": [], "valid": []}
    for number in range(first, min(first + CLIPS_OF_FILE, clips)):
        is_copy = number % 100 == 99
        keys = np.random.default_rng(number - is_copy).integers(-(2**63), 2**63, fingerprints.KEYS).tolist()
        keyed["valid" if is_copy else "train"].append((made_up.ytid(number), keys))
    yield from keyed.items()


def training_input(folder: pathlib.Path, clips: int, gauge: Gauge) -> None:
    """Opens the input of some of 32 hosts until its first batch, at the start and half-way through the first pass.

    The examples hold few samples, and the shards of a length are one file under many names.
    """
    corpus, lengths = folder / "examples", shard_lengths(clips)
    _write_tiny_examples(corpus, lengths)
    batch = HOSTS * CLIPS_OF_A_HOST
    options = input_pipeline.InputOptions(batch_size=batch, crop_samples=2, seed=0)
    next(iter(_host_input(corpus, options, host=0)))  # TensorFlow's own start.
    facts = {"hosts": HOSTS, "measured_hosts": len(MEASURED_HOSTS), "shards": len(lengths["train"])}
    for name, step in (("start", 0), ("half-way", sum(lengths["train"]) // batch // 2)):
        with gauge.measure(f"training input of a host: {name}", step=step, **facts):
            for host in MEASURED_HOSTS:
                next(iter(_host_input(corpus, options, host=host, start_step=step)))
        for field in ("wall_s", "cpu_s"):
            row = gauge.rows[f"training input of a host: {name}"]
            row[field] = round(row[field] / len(MEASURED_HOSTS), 3)


def _host_input(
    corpus: pathlib.Path, options: input_pipeline.InputOptions, *, host: int, start_step: int = 0
) -> tf.data.Dataset:
    context = tf.distribute.InputContext(HOSTS, host, HOSTS)
    return input_pipeline.training_batches(epath.Path(corpus), options, start_step=start_step, context=context)


def _write_tiny_examples(folder: pathlib.Path, lengths: dict[str, list[int]]) -> None:
    folder.mkdir()
    written: dict[int, tuple[pathlib.Path, np.ndarray]] = {}  # Length -> its file, and the sizes of the records in it.
    sound = np.zeros(4, np.int16)
    for split, shards in lengths.items():
        for shard, length in enumerate(shards):
            file = folder / examples.file_name(split, shard=shard, shards=len(shards))
            if length in written:
                os.link(written[length][0], file)
                continue
            records = [examples.encode(audio=sound, clip_id=made_up.ytid(number)) for number in range(length)]
            written[length] = file, np.array([len(record) for record in records])
            with tf.io.TFRecordWriter(str(file)) as writer:
                for record in records:
                    writer.write(record)
    record_sizes.write(
        epath.Path(folder), {split: [written[length][1] for length in shards] for split, shards in lengths.items()}
    )
    examples.write_metadata(
        folder,
        shard_lengths=lengths,
        shard_bytes=dict.fromkeys(lengths, 0),
        label_names=(),
        sample_rate=made_up.SAMPLE_RATE,
        has_folds=False,
        description="benchmark",
    )


def evaluation_clips(folder: pathlib.Path, clips: int, gauge: Gauge) -> None:
    """Reads everything of the embeddings but the vectors, which are narrow here."""
    _evaluate(folder, clips, gauge, dim=_NARROW)


def evaluation_pass(folder: pathlib.Path, clips: int, gauge: Gauge) -> None:
    """Makes one pass of the probe over vectors of 2 x 2,048 elements, and classifies the eval split."""
    # Imported here as in `_evaluate`.
    from tests.benchmarks import probes

    _evaluate(folder, clips, gauge, dim=probes.DIM)


def _evaluate(folder: pathlib.Path, clips: int, gauge: Gauge, *, dim: int) -> None:
    # Imported here because only these measurements need them.
    from beam_jobs.embedding.read import Embeddings
    from components.evaluator import EvaluatorConfig, evaluation, preparation
    from tests.benchmarks import probes

    is_narrow, probes.DIM = dim != probes.DIM, dim
    probes.write_embeddings(folder / "embeddings", rows=clips)
    config = EvaluatorConfig(probe="mlp", mlp_epochs=1)
    embeddings = Embeddings(epath.Path(folder / "embeddings"))
    if is_narrow:
        with gauge.measure("evaluation: reading the clips"):
            preparation.prepare(embeddings, config)
        return
    prepared = preparation.prepare(embeddings, config)
    with gauge.measure("evaluation: a pass of the probe"):
        evaluation.probe(embeddings, prepared.sets["trained"], prepared, config)
