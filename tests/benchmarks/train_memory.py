"""Memory of a training step over the batch size: `python -m tests.benchmarks.train_memory`.

Measures the peak of one step that embeds its batch in micro-batches of 64 clips, for batches of 256 to 32,768 clips.
The encoders are narrow and the crops last 1 s. Every batch size runs in a fresh process.
"""

import argparse
import json
import math
import pathlib
import tempfile
import time

import tensorflow as tf

from components.trainer import TrainerConfig, compiled_loop
from pipeline.configs import overrides
from tests.benchmarks import measuring
from tests.benchmarks.record import RESULTS
from tests.benchmarks.train_step import on_one_device

BATCHES = (256, 1024, 4096, 16384, 32768)
NARROW = {
    "model.encoders.waveform": "conv160",
    "model.encoders.log_mel": "cnn6",
    "model.width": 1 / 32,
    "model.norm": "group:1",
    "model.crop_seconds": 1.0,
    "micro_batch": 64,
}


def main() -> None:
    """Runs the command, or one measurement in a process that the command started."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="*", default=BATCHES, help="batch sizes to measure")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    parser.add_argument("--one", nargs=2, metavar=("CORPUS", "BATCH"), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.one:
        print(json.dumps(_measure(pathlib.Path(flags.one[0]), int(flags.one[1]))))
        return
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        corpus = pathlib.Path(folder) / "corpus"
        measuring.write_examples(corpus, sounds=measuring.sounds(seconds=1.0), clips=max(flags.batches))
        for size in flags.batches:
            sizes[str(size)] = measuring.in_a_fresh_process("tests.benchmarks.train_memory", "--one", corpus, size)
            print(f"batch {size}: {sizes[str(size)]}", flush=True)
    measuring.save("train_memory", {"micro_batch": NARROW["micro_batch"], "batches": sizes}, results=flags.results)


def _measure(corpus: pathlib.Path, batch_size: int) -> dict:
    """Measures the peak memory of the process over one step, and the size of all its projections.

    A step holds a few copies of the projections.
    """
    setup, batches = on_one_device(overrides.replace(TrainerConfig(), {**NARROW, "batch_size": batch_size}), corpus)
    loop, started = compiled_loop.make_loop(setup), time.perf_counter()
    logs, _ = loop(batches, tf.constant(1))
    if not math.isfinite(float(logs["loss"])):
        raise SystemExit("the loss is not finite")
    dim = setup.model.projector.output_layer.units
    return {
        "peak_mib": round(measuring.peak_kib() / 1024),
        "projections_mib": round(2 * 4 * dim * batch_size / 2**20),
        "seconds": round(time.perf_counter() - started, 1),
    }


if __name__ == "__main__":
    main()
