"""The effect of TensorFlow's memory pool on training with a CPU: `python -m tests.benchmarks.memory_pool`.

Steps of the presets for small machines, with the settings of `pipeline.tensorflow_settings` and without the pool. The
two settings take turns, each time in a fresh process.
"""

import argparse
import json
import pathlib
import resource
import tempfile
import time

import tensorflow as tf

from components.trainer import TrainerConfig, compiled_loop
from pipeline.configs import overrides, presets
from tests.benchmarks import measuring
from tests.benchmarks.record import RESULTS
from tests.benchmarks.train_step import on_one_device

PRESETS = ("quickstart", "tiny")
STEPS = 10


def main() -> None:
    """Runs the command, or one measurement in a process that the command started."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2, help="processes of each setting; the fastest one counts")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    parser.add_argument("--one", nargs=2, metavar=("CORPUS", "PRESET"), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.one:
        print(json.dumps(_measure(pathlib.Path(flags.one[0]), flags.one[1])))
        return
    with tempfile.TemporaryDirectory() as folder:
        corpus = pathlib.Path(folder) / "corpus"
        measuring.write_examples(corpus, sounds=measuring.sounds(seconds=5.0), clips=512)
        figures = {preset: _compare(corpus, preset, repeats=flags.repeats) for preset in PRESETS}
    measuring.save("memory_pool", {"steps": STEPS, "presets": figures}, results=flags.results)


def _compare(corpus: pathlib.Path, preset: str, *, repeats: int) -> dict:
    with_pool, without = [], []
    for _ in range(repeats):
        with_pool.append(_in_a_fresh_process(corpus, preset, pool=True))
        without.append(_in_a_fresh_process(corpus, preset, pool=False))
    best_with, best_without = (min(runs, key=lambda run: run["seconds"]) for runs in (with_pool, without))
    ratio = round(best_without["seconds"] / best_with["seconds"], 2)
    return {"with_pool": best_with, "without": best_without, "time_without_to_with": ratio}


def _in_a_fresh_process(corpus: pathlib.Path, preset: str, *, pool: bool) -> dict:
    environment = {"TF_CPU_ALLOCATOR_USE_BFC": str(pool).lower()}
    return measuring.in_a_fresh_process("tests.benchmarks.memory_pool", "--one", corpus, preset, **environment)


def _measure(corpus: pathlib.Path, preset: str) -> dict:
    """Measures the time and the page faults of some steps after the first two, and the peak of the process."""
    fields = presets.find(preset).fields
    changes = {name.removeprefix("trainer."): value for name, value in fields.items() if name.startswith("trainer.")}
    setup, batches = on_one_device(overrides.replace(TrainerConfig(), changes), corpus)
    loop = compiled_loop.make_loop(setup)
    loop(batches, tf.constant(2))
    faults, started = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
    loop(batches, tf.constant(STEPS))
    return {
        "seconds": round(time.perf_counter() - started, 2),
        "page_faults": resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults,
        "peak_mib": round(measuring.peak_kib() / 1024),
    }


if __name__ == "__main__":
    main()
