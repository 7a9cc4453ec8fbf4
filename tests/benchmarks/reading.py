"""Speed of the training's input pipeline, in pairs of crops per second: `python -m tests.benchmarks.reading`.

Clips of 10 s, like AudioSet's, and of 5 s, like ESC-50's, are cut into two crops of 3 s, from files in the system's
cache. The aim is 3,000 clips per second on 2 cores, which is more than any encoder here consumes. The benchmark also
measures the time to the first batch, and to the first batch of a run that resumes at the end of a pass and has to skip
everything before.
"""

import argparse
import pathlib
import tempfile
import time

import keras
import tensorflow as tf
from etils import epath

from components.trainer import input_pipeline
from tests.benchmarks import measuring
from tests.benchmarks.record import RESULTS

BATCH = 256
CROP_SAMPLES = 3 * measuring.SAMPLE_RATE
LENGTHS_S = (10, 5)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=4096, help="clips in each corpus; 320 kB of disk and cache each")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each measurement")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    flags = parser.parse_args()
    keras.utils.set_random_seed(1)  # like the trainer
    figures, last = {}, flags.clips // BATCH - 1
    with tempfile.TemporaryDirectory() as folder:
        for length in LENGTHS_S:
            sounds = measuring.sounds(seconds=length)
            corpus = measuring.write_examples(pathlib.Path(folder) / str(length), sounds=sounds, clips=flags.clips)
            figures[f"{length} s"] = {
                "clips_per_s": measuring.rate(batches(corpus), clips_each=BATCH, seconds=flags.seconds),
                "first_batch_s": _first_batch_s(corpus, start_step=0),
                "last_batch_s": _first_batch_s(corpus, start_step=last),
            }
    settings = {"batch_size": BATCH, "crop_s": CROP_SAMPLES / measuring.SAMPLE_RATE, "clips": flags.clips}
    measuring.save("reading", {**settings, "clips_of": figures}, results=flags.results)


def batches(corpus: epath.Path, *, start_step: int = 0) -> tf.data.Dataset:
    """Returns the batches that the trainer would read."""
    options = input_pipeline.InputOptions(batch_size=BATCH, crop_samples=CROP_SAMPLES, seed=0)
    return input_pipeline.training_batches(corpus, options, start_step=start_step)


def _first_batch_s(corpus: epath.Path, *, start_step: int) -> float:
    started = time.perf_counter()
    next(iter(batches(corpus, start_step=start_step)))
    return round(time.perf_counter() - started, 2)


if __name__ == "__main__":
    main()
