"""The memory that the Trainer expects to take, and what it takes: `python -m tests.benchmarks.memory_estimate`.

Each case runs twice, in fresh processes: once to estimate, once to train a few steps with `diptych train`.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import tempfile

import tensorflow as tf
from etils import epath

from beam_jobs import examples
from components.trainer import memory
from pipeline.configs import resolve
from tests.benchmarks import measuring
from tests.benchmarks.record import RESULTS
from tests.components import stored_examples
from tests.components.trainer import training

STEPS = 2
# Name -> preset and changes.
CASES = {
    "quickstart": ("quickstart", {}),
    "tiny": ("tiny", {}),
    "tiny, 32 clips at a time": ("tiny", {"micro_batch": 32}),
    "tiny, bfloat16": ("tiny", {"batch_size": 64, "precision": "bfloat16"}),
    "small, 8 clips": ("small", {"batch_size": 8, "model.mixing_group": 8}),
    "small, 16 clips in bfloat16": ("small", {"batch_size": 16, "model.mixing_group": 8, "precision": "bfloat16"}),
    "conv160 and cnn6, 4 of 32 clips": (
        "small",
        {
            "batch_size": 32,
            "micro_batch": 4,
            "model.mixing_group": 4,
            "model.encoders.waveform": "conv160",
            "model.encoders.log_mel": "cnn6",
        },
    ),
    "base, 4 clips": ("base", {"batch_size": 4, "model.mixing_group": 4}),
}


def main() -> None:
    """Runs the command, or one measurement in a process that the command started."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="*", default=list(CASES), help="cases to measure")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    parser.add_argument("--one", nargs=2, metavar=("CORPUS", "CASE"), help=argparse.SUPPRESS)
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.one:
        measure = _train if flags.train else _estimate
        print(json.dumps(measure(flags.one[0], flags.one[1])))
        return
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        corpus = pathlib.Path(folder) / "corpus"
        sounds = [(sound, (), 0) for sound in measuring.sounds(seconds=5.0)] * 4
        stored_examples.write_examples(corpus, {"train": sounds, "valid": sounds[:64]}, shards=4)
        for case in flags.cases:
            arguments = ("tests.benchmarks.memory_estimate", "--one", corpus, case)
            row = {**measuring.in_a_fresh_process(*arguments), **measuring.in_a_fresh_process(*arguments, "--train")}
            row["estimate_to_peak"] = round(row["estimated_mib"] / row["peak_mib"], 2)
            figures[case] = row
            print(f"{case}: {row}", flush=True)
    measuring.save("memory_estimate", {"steps": STEPS, "cases": figures}, results=flags.results)


def _assignments(case: str) -> list[str]:
    _, changes = CASES[case]
    return [f"trainer.{name}={value}" for name, value in {**changes, "steps": STEPS, "steps_per_loop": 1}.items()]


def _estimate(corpus: str, case: str) -> dict:
    config = resolve.resolve(CASES[case][0], assignments=_assignments(case)).trainer
    info = examples.read_info(epath.Path(corpus))
    setup = training.set_up(config, strategy=tf.distribute.OneDeviceStrategy("cpu:0"))
    held_kib = measuring.peak_kib()
    needs = memory.HostMemory(setup, config=config, info=info).needs(setup.micro_batch, config.batch_size)
    return {"estimated_mib": round(held_kib / 1024 + needs / 2**20)}


def _train(corpus: str, case: str) -> dict:
    with tempfile.TemporaryDirectory() as output:
        arguments = ["--preset", CASES[case][0], "--examples", corpus, "--output", f"{output}/trained"]
        command = [sys.executable, "-m", "pipeline.cli", "train", *arguments, *_assignments(case)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {"peak_mib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)}


if __name__ == "__main__":
    main()
