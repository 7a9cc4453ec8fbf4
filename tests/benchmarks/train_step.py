"""Where a training step's time goes, and its memory over the batch size: `python -m tests.benchmarks.train_step`.

Time: a step of the `small` preset with 64 clips, as the Trainer runs it, against its two encoders' forward and backward
pass alone, in turns; and its other parts by themselves. The aim is 10 % more than the encoders at the most, and less
than 1 % of waiting for input. Memory: the peak of a step in micro-batches of 64, of a narrow pair on crops of 1 s, for
batches of 256 to 32,768 clips, each in a fresh process.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from etils import epath

from components.trainer import TrainerConfig, inner_loop, step, summaries
from models import contrastive
from pipeline import overrides
from tests.benchmarks import encoders, measuring
from tests.benchmarks.contrastive import peak_kib
from tests.benchmarks.record import RESULTS
from tests.components import training

BATCH = 64
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
    """The command, and what it starts in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("time", "memory"), help="one of the two")
    parser.add_argument("--repeats", type=int, default=3, help="steps of either kind; the fastest counts")
    parser.add_argument("--batches", type=int, nargs="*", default=BATCHES, help="sizes whose memory is measured")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    parser.add_argument("--memory", nargs=2, metavar=("CORPUS", "BATCH"), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.memory:
        print(json.dumps(_memory(flags.memory[0], int(flags.memory[1]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        corpus = pathlib.Path(folder) / "corpus"
        if flags.only != "memory":
            measuring.write_examples(corpus, sounds=measuring.sounds(seconds=10.0), clips=512)
            figures = {"preset": "small", "batch_size": BATCH, **_breakdown(corpus, folder, repeats=flags.repeats)}
            measuring.save("train_step", figures, results=flags.results)
        if flags.only != "time":
            corpus = pathlib.Path(folder) / "short"
            measuring.write_examples(corpus, sounds=measuring.sounds(seconds=1.0), clips=max(flags.batches))
            sizes = {str(size): _in_a_fresh_process(corpus, size) for size in flags.batches}
            measuring.save(
                "train_memory", {"micro_batch": NARROW["micro_batch"], "batches": sizes}, results=flags.results
            )


def _breakdown(corpus: pathlib.Path, folder: str, *, repeats: int) -> dict:
    """Seconds of a step and of its parts, and what the encoders reach of the peak of a matrix product."""
    setup, iterators = _training(overrides.replace(TrainerConfig(), {"batch_size": BATCH}), corpus)
    loop, logs = inner_loop.make_loop(setup), {}
    log = summaries.TrainingLog(epath.Path(folder) / "events", history=epath.Path(folder) / "history.csv", first=0)

    def whole() -> None:
        found, _ = loop(iterators, tf.constant(1))
        logs.update({name: float(value) for name, value in found.items()})
        waited = logs["input_wait_s"]
        figures = {name: value for name, value in logs.items() if name != "input_wait_s"}
        log.training(1, {**figures, "learning_rate": 0.0, "clips_per_s": 0.0}, times={"input": waited})

    views = [setup.model.view(branch, sounds, training=True) for branch, sounds in enumerate(_sounds(setup))]
    parts = {
        "augmentation and front ends": _views(setup),
        "loss": _loss(setup),
        "optimiser and norms": _update(setup),
    }
    seconds, peak = encoders.fastest({"whole": whole, "encoders": _encoders(setup, views)}, repeats=repeats)
    part_seconds, _ = encoders.fastest(parts, repeats=repeats)
    flops = sum(_training_flops(setup, name, view) for name, view in zip(setup.model.encoders, views, strict=True))
    return {
        "whole_s": round(seconds["whole"], 2),
        "encoders_s": round(seconds["encoders"], 2),
        "whole_to_encoders": round(seconds["whole"] / seconds["encoders"], 3),
        "parts_s": {name: round(value, 3) for name, value in part_seconds.items()},
        "input_wait_share": round(logs["input_wait_s"] / seconds["whole"], 5),
        "encoders_share_of_peak": round(flops / seconds["encoders"] / peak, 3),
        "whole_share_of_peak": round(flops / seconds["whole"] / peak, 3),
    }


def _training(config: TrainerConfig, corpus: pathlib.Path) -> tuple[step.Setup, list]:
    """A set-up on one device and its input."""
    setup = training.set_up(config, strategy=tf.distribute.OneDeviceStrategy("cpu:0"))
    return setup, training.iterators(setup, corpus, count=1 if setup.micro_batches == 1 else 2)


def _sounds(setup: step.Setup) -> list[tf.Tensor]:
    shape = (setup.micro_batch, setup.model.crop_samples)
    return [tf.random.stateless_normal(shape, (seed, 0)) / 10 for seed in range(2)]


def _encoders(setup: step.Setup, views: list[tf.Tensor]) -> Callable[[], object]:
    """Both encoders' forward and backward pass."""
    networks = list(setup.model.encoders.values())
    variables = [variable.value for network in networks for variable in network.trainable_variables]

    @tf.function
    def run() -> tf.Tensor:
        with tf.GradientTape() as tape:
            outputs = [network(view, training=True) for network, view in zip(networks, views, strict=True)]
            total = tf.add_n([tf.reduce_sum(tf.square(output)) for output in outputs])
        return tf.add_n([tf.reduce_max(gradient) for gradient in tape.gradient(total, variables)])

    return lambda: run().numpy()


def _views(setup: step.Setup) -> Callable[[], object]:
    sounds = _sounds(setup)

    @tf.function
    def run() -> tf.Tensor:
        made = [setup.model.view(branch, sound, training=True) for branch, sound in enumerate(sounds)]
        return tf.add_n([tf.reduce_max(view) for view in made])

    return lambda: run().numpy()


def _loss(setup: step.Setup) -> Callable[[], object]:
    dim = setup.model.projector.output_layer.units
    z = [tf.random.stateless_normal((setup.batch_size, dim), (seed, 0)) for seed in range(2)]

    @tf.function
    def run() -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(z)
            losses, _ = contrastive.nt_xent_with_logs(*z)
        return tf.add_n([tf.reduce_max(gradient) for gradient in tape.gradient(losses, z)])

    return lambda: run().numpy()


def _update(setup: step.Setup) -> Callable[[], object]:
    gradients = [tf.ones_like(variable) / 1e6 for variable in setup.variables]

    @tf.function
    def run() -> tf.Tensor:
        return setup.update(gradients)["update_norm"]

    return lambda: run().numpy()


def _training_flops(setup: step.Setup, name: str, view: tf.Tensor) -> float:
    each = encoders.flops(setup.model.encoders[name], view[:1])
    return setup.batch_size * (3 * sum(each) - each[0])


def _in_a_fresh_process(corpus: pathlib.Path, batch_size: int) -> dict:
    command = [sys.executable, "-m", "tests.benchmarks.train_step", "--memory", str(corpus), str(batch_size)]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
    print(f"batch {batch_size}: {found}", flush=True)
    return found


def _memory(corpus: str, batch_size: int) -> dict:
    """Peak MiB of the process over one step, and the MiB that all its projections and their gradients take."""
    setup, iterators = _training(overrides.replace(TrainerConfig(), {**NARROW, "batch_size": batch_size}), corpus)
    loop, started = inner_loop.make_loop(setup), time.perf_counter()
    logs, _ = loop(iterators, tf.constant(1))
    if not np.isfinite(float(logs["loss"])):
        raise SystemExit("the loss is not finite")
    dim = setup.model.projector.output_layer.units
    return {
        "peak_mib": round(peak_kib() / 1024),
        "projections_mib": round(2 * 4 * dim * batch_size / 2**20),
        "seconds": round(time.perf_counter() - started, 1),
    }


if __name__ == "__main__":
    main()
