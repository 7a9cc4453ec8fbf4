"""How well the input pipeline mixes clips, and what that costs: `python -m tests.benchmarks.input_order`.

The Trainer's way, which reads each clip alone in a random order of all clips, is compared with reading eight files at a
time through a shuffle buffer of 2,048 clips, on the same files in the system's cache:

    files in a batch      of 1,024 clips, from files of short clips, as many as AudioSet's train split has
    seconds to resume     until the first batch in the middle of a pass
    clips per second      clips of 10 s, like AudioSet's, cut into two crops of 3 s
"""

import argparse
import pathlib
import statistics
import tempfile
import time

import keras
import tensorflow as tf
from etils import epath

from beam_jobs import examples
from beam_jobs.examples import record_sizes
from components.trainer import crops, input_pipeline
from tests.benchmarks import measuring
from tests.benchmarks.record import RESULTS

BATCH = 1024
SHUFFLE_BUFFER = 2048
FILES_AT_A_TIME = 8
CLIP_S = 10.0
SHORT_CLIP_S = 0.1


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=4096, help="clips of 10 s; 320 kB of disk and cache each")
    parser.add_argument("--files", type=int, default=4700, help="files of short clips")
    parser.add_argument("--clips-per-file", type=int, default=16, help="short clips in each file")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measurement of the speed")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each way; the median counts")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    flags = parser.parse_args()
    keras.utils.set_random_seed(1)  # like the trainer
    with tempfile.TemporaryDirectory() as folder:
        short = _write(pathlib.Path(folder, "short"), SHORT_CLIP_S, flags.files * flags.clips_per_file, flags.files)
        long = _write(pathlib.Path(folder, "long"), CLIP_S, flags.clips, 16)
        figures = {
            "files_in_a_batch": {way: _files_in_a_batch(read, short) for way, read in WAYS.items()},
            "resume_s": {way: _resume_s(read, long, flags.clips) for way, read in WAYS.items()},
            "clips_per_s": _clips_per_s(long, seconds=flags.seconds, rounds=flags.rounds),
            "index_s": _index_s(short),
        }
    settings = {"batch_size": BATCH, "clips": flags.clips, "files": flags.files, "clips_per_file": flags.clips_per_file}
    measuring.save("input_order", {**settings, **figures}, results=flags.results)


def trainer(corpus: epath.Path, *, crop_samples: int, skip: int = 0) -> tf.data.Dataset:
    """Returns the batches that the Trainer reads, from the batch `skip` on."""
    options = input_pipeline.InputOptions(batch_size=BATCH, crop_samples=crop_samples, seed=0)
    return input_pipeline.training_batches(corpus, options, start_step=skip)


def shuffle_buffer(corpus: epath.Path, *, crop_samples: int, skip: int = 0) -> tf.data.Dataset:
    """Returns batches from eight files at a time and a shuffle buffer, whose first `skip` are read and left out."""
    info = examples.read_info(corpus)

    def read_pass(number: tf.Tensor) -> tf.data.Dataset:
        files = tf.data.Dataset.from_tensor_slices((info.files("train"), list(info.shard_lengths["train"])))
        records = files.shuffle(info.shards["train"], seed=number).interleave(
            examples.read_records, cycle_length=FILES_AT_A_TIME, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
        records = records.shuffle(SHUFFLE_BUFFER, seed=number).enumerate().skip(skip * BATCH)
        pairs = records.map(
            lambda place, record: crops.crop_pairs(
                record, pairs=1, crop_samples=crop_samples, seed=tf.stack([place, 0]), short_clips="tile", storage="pcm"
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        batches = pairs.batch(BATCH, drop_remainder=True)
        return batches.map(lambda batch: {name: value[:, 0] for name, value in batch.items()})

    return tf.data.Dataset.range(tf.int64.max).flat_map(read_pass).prefetch(tf.data.AUTOTUNE)


WAYS = {"each clip alone": trainer, "eight files and a shuffle buffer": shuffle_buffer}


def _write(folder: pathlib.Path, seconds: float, clips: int, files: int) -> epath.Path:
    sounds = measuring.sounds(seconds=seconds)
    return measuring.write_examples(folder, sounds=sounds, clips=clips, files=files)


def _files_in_a_batch(read, corpus: epath.Path) -> float:
    """Returns the median number of files that the batches of a pass come from."""
    steps = examples.read_info(corpus).splits["train"] // BATCH
    batches = read(corpus, crop_samples=100).take(steps)
    files = [{name.partition(b"-")[0] for name in batch["clip_id"].numpy()} for batch in batches]
    return statistics.median(map(len, files))


def _resume_s(read, corpus: epath.Path, clips: int) -> float:
    """Returns how many seconds the first batch takes in the middle of a pass."""
    started = time.perf_counter()
    next(iter(read(corpus, crop_samples=3 * measuring.SAMPLE_RATE, skip=clips // BATCH // 2)))
    return round(time.perf_counter() - started, 2)


def _clips_per_s(corpus: epath.Path, *, seconds: float, rounds: int) -> dict[str, float]:
    """Measures both ways in turn, because other programs may slow the machine down."""
    found = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, read in WAYS.items():
            batches = read(corpus, crop_samples=3 * measuring.SAMPLE_RATE)
            found[way].append(measuring.rate(batches, clips_each=BATCH, seconds=seconds, warm_up=2))
    return {way: statistics.median(rates) for way, rates in found.items()}


def _index_s(corpus: epath.Path) -> float:
    """Returns how many seconds it takes to find the places of all clips if there is no `record_sizes.npz`."""
    record_sizes._scan.cache_clear()
    started = time.perf_counter()
    record_sizes.read(examples.read_info(corpus), "train")
    return round(time.perf_counter() - started, 2)


if __name__ == "__main__":
    main()
