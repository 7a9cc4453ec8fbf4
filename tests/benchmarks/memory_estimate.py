"""The memory that the Trainer expects to take, and what it takes: `python -m tests.benchmarks.memory_estimate`.

Each case is a `diptych train` of a few steps, in a process of its own. The estimate is made where the Trainer makes it;
the peaks, of the process and of what TensorFlow's pool has handed out, are those at the end.
"""

import argparse
import json
import pathlib
import tempfile
import time

import tensorflow as tf

from beam_jobs.examples import ExamplesInfo
from components.trainer import memory, memory_check
from components.trainer.config import TrainerConfig
from components.trainer.step import TrainingStep
from pipeline import cli, tensorflow_settings
from tests.benchmarks import measuring
from tests.benchmarks.record import RESULTS
from tests.components import stored_examples

STEPS = 2
SMALL_GROUPS = {"model.mixing_group": 4}
# Name -> preset and changes of `trainer`. "replicas" is the number of CPU devices.
CASES = {
    "quickstart": ("quickstart", {}),
    "quickstart, 8 of 32 clips at a time": ("quickstart", {"micro_batch": 8, **SMALL_GROUPS}),
    "quickstart, bfloat16": ("quickstart", {"precision": "bfloat16"}),
    "quickstart, 2 replicas": ("quickstart", {"replicas": 2, **SMALL_GROUPS}),
    "2,048 clips of 0.5 s, 32 at a time": (
        "quickstart",
        {"batch_size": 2048, "micro_batch": 32, "model.width": 1 / 32, "model.crop_seconds": 0.5},
    ),
    "tiny": ("tiny", {}),
    "tiny, 128 clips": ("tiny", {"batch_size": 128}),
    "small, 4 clips": ("small", {"batch_size": 4, **SMALL_GROUPS}),
    "small, 4 of 8 clips at a time": ("small", {"batch_size": 8, "micro_batch": 4, **SMALL_GROUPS}),
}


def main() -> None:
    """Runs the command, or one measurement in a process that the command started."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="*", default=list(CASES), help="cases to measure anew, if not all")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    parser.add_argument("--one", nargs=2, metavar=("CORPUS", "CASE"), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.one:
        print(json.dumps(_measure(*flags.one)))
        return
    last = flags.results / "memory_estimate.json"
    rows = json.loads(last.read_text())["cases"] if last.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        corpus = pathlib.Path(folder) / "corpus"
        sounds = [(sound, (), 0) for sound in measuring.sounds(seconds=2.0)]
        stored_examples.write_examples(corpus, {"train": sounds * 32, "valid": sounds}, shards=4)
        for case in flags.cases:
            rows[case] = measuring.in_a_fresh_process("tests.benchmarks.memory_estimate", "--one", corpus, case)
            print(f"{case}: {rows[case]}", flush=True)
    rows = {name: {**rows[name], **_estimate(rows[name])} for name in CASES if name in rows}
    measuring.save("memory_estimate", {"steps": STEPS, "cases": rows}, results=flags.results)


def _measure(corpus: str, case: str) -> dict:
    """Trains, and returns the parts of the estimate and the peaks, in MiB."""
    preset, changes = CASES[case]
    fields = {**changes, "steps": STEPS, "steps_per_loop": 1}
    if replicas := fields.pop("replicas", 0):
        tensorflow_settings.apply()
        cpu, *_ = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
        fields["strategy"] = "mirrored"
    row = {}

    def note_parts(training_step: TrainingStep, *, config: TrainerConfig, info: ExamplesInfo, resumed: bool) -> None:
        row.update(held_mib=round(measuring.memory_kib("VmRSS") / 1024), pool_held_mib=_pool_mib("current"))
        started, replicas = time.process_time(), training_step.strategy.num_replicas_in_sync
        host = memory.HostMemory(training_step, config=config, info=info)
        sizes = training_step.micro_batch, config.batch_size // replicas
        row.update(live_mib=round(replicas * host.live_bytes(*sizes) / 2**20))
        row.update(clips_mib=round(host.input_bytes(*sizes) / 2**20), cpu_s=round(time.process_time() - started, 1))

    memory_check.check = note_parts  # The Trainer calls it, before it takes memory for its steps.
    with tempfile.TemporaryDirectory() as output:
        arguments = ["--preset", preset, "--examples", corpus, "--output", f"{output}/trained"]
        if cli.main(["train", *arguments, *(f"trainer.{name}={value}" for name, value in fields.items())]):
            raise SystemExit(f"{case}: the training has failed")
    return {**row, "peak_mib": round(measuring.peak_kib() / 1024), "pool_peak_mib": _pool_mib("peak")}


def _pool_mib(kind: str) -> int:
    """Returns what TensorFlow's pool on the CPU has handed out: at present ("current"), or the "peak"."""
    return round(tf.config.experimental.get_memory_info("CPU:0")[kind] / 2**20)


def _estimate(row: dict) -> dict:
    """Returns the estimates that follow from the parts in a row, in MiB, and their ratios to the peaks."""
    live, clips = row["live_mib"] * 2**20, row["clips_mib"] * 2**20
    process = row["held_mib"] + memory.process_bytes(live=live, clips=clips) / 2**20
    pool = row["pool_held_mib"] + memory.pool_bytes(live=live) / 2**20
    return {
        "estimated_mib": round(process),
        "estimate_to_peak": round(process / row["peak_mib"], 2),
        "pool_estimated_mib": round(pool),
        "pool_estimate_to_peak": round(pool / row["pool_peak_mib"], 2),
    }


if __name__ == "__main__":
    main()
