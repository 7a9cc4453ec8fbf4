"""Where the time of a training step goes: `python -m tests.benchmarks.train_step`.

A step of the `small` preset with 64 clips, as the Trainer runs it, against its two encoders' forward and backward pass
alone, in turns; its other parts by themselves; and the operations that it consists of, by TensorFlow's profiler. The
aim is 10 % more than the encoders at the most, and less than 1 % of waiting for input.
"""

import argparse
import collections
import pathlib
import re
import tempfile
from collections.abc import Callable

import tensorflow as tf
from etils import epath

from components.trainer import TrainerConfig, compiled_loop, step, summaries
from models import contrastive
from pipeline.configs import overrides
from tests.benchmarks import encoders, measuring
from tests.benchmarks.record import RESULTS
from tests.components.trainer import training

BATCH = 64
_IN_A_ROW = 3
_OPERATION = re.compile(r"[^:]+:(\w+)")  # scope/of/the/operation:Type in a trace; EagerExecute: f, Run::Run are others


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="steps of either kind; the fastest counts")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus = pathlib.Path(folder) / "corpus"
        measuring.write_examples(corpus, sounds=measuring.sounds(seconds=10.0), clips=512)
        figures = {"preset": "small", "batch_size": BATCH, **_breakdown(corpus, folder, repeats=flags.repeats)}
        measuring.save("train_step", figures, results=flags.results)


def on_one_device(config: TrainerConfig, corpus: pathlib.Path) -> tuple[step.TrainingStep, list]:
    """What the Trainer makes of a config, and its input."""
    setup = training.set_up(config, strategy=tf.distribute.OneDeviceStrategy("cpu:0"))
    return setup, training.iterators(setup, corpus, count=1 if setup.micro_batches == 1 else 2)


def _breakdown(corpus: pathlib.Path, folder: str, *, repeats: int) -> dict:
    """Seconds of a step and of its parts, and what the encoders reach of the peak of a matrix product."""
    setup, iterators = on_one_device(overrides.replace(TrainerConfig(), {"batch_size": BATCH}), corpus)
    loop, logs = compiled_loop.make_loop(setup), {}
    log = summaries.TrainingLog(epath.Path(folder) / "events", history=epath.Path(folder) / "history.csv", first=0)

    def whole() -> None:
        found, _ = loop(iterators, tf.constant(1))
        logs.update({name: float(value) for name, value in found.items()})
        figures = {name: value for name, value in logs.items() if name != "input_wait_s"}
        log.training(1, {**figures, "learning_rate": 0.0, "clips_per_s": 0.0}, times={"input": logs["input_wait_s"]})

    views = [setup.model.encoder_input(branch, sounds, training=True) for branch, sounds in enumerate(_sounds(setup))]
    parts = {
        "augmentation and front ends": _views(setup),
        "loss": _loss(setup),
        "optimiser and norms": _update(setup),
    }
    seconds, peak = encoders.fastest({"whole": whole, "encoders": _encoders(setup, views)}, repeats=repeats)
    part_seconds, _ = encoders.fastest(parts, repeats=repeats)
    waited = float(loop(iterators, tf.constant(_IN_A_ROW))[0]["input_wait_s"])  # with no pause in which input gathers
    operations = _operations(whole, folder)
    flops = sum(_training_flops(setup, name, view) for name, view in zip(setup.model.encoders, views, strict=True))
    return {
        "whole_s": round(seconds["whole"], 2),
        "encoders_s": round(seconds["encoders"], 2),
        "whole_to_encoders": round(seconds["whole"] / seconds["encoders"], 3),
        "parts_s": {name: round(value, 3) for name, value in part_seconds.items()},
        "operations": {name: round(share, 3) for name, share in operations.items() if share >= 0.01},
        "input_wait_share": round(waited / seconds["whole"], 5),
        "encoders_share_of_peak": round(flops / seconds["encoders"] / peak, 3),
        "whole_share_of_peak": round(flops / seconds["whole"] / peak, 3),
    }


def _sounds(setup: step.TrainingStep) -> list[tf.Tensor]:
    shape = (setup.micro_batch, setup.model.crop_samples)
    return [tf.random.stateless_normal(shape, (seed, 0)) / 10 for seed in range(2)]


def _encoders(setup: step.TrainingStep, views: list[tf.Tensor]) -> Callable[[], object]:
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


def _views(setup: step.TrainingStep) -> Callable[[], object]:
    sounds = _sounds(setup)

    @tf.function
    def run() -> tf.Tensor:
        made = [setup.model.encoder_input(branch, sound, training=True) for branch, sound in enumerate(sounds)]
        return tf.add_n([tf.reduce_max(view) for view in made])

    return lambda: run().numpy()


def _loss(setup: step.TrainingStep) -> Callable[[], object]:
    dim = setup.model.projector.output_layer.units
    z = [tf.random.stateless_normal((setup.batch_size, dim), (seed, 0)) for seed in range(2)]

    @tf.function
    def run() -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(z)
            losses, _ = contrastive.nt_xent_with_logs(*z)
        return tf.add_n([tf.reduce_max(gradient) for gradient in tape.gradient(losses, z)])

    return lambda: run().numpy()


def _update(setup: step.TrainingStep) -> Callable[[], object]:
    gradients = [tf.ones_like(variable) / 1e6 for variable in setup.variables]

    @tf.function
    def run() -> tf.Tensor:
        return setup.apply_gradients(gradients)["update_norm"]

    return lambda: run().numpy()


def _training_flops(setup: step.TrainingStep, name: str, view: tf.Tensor) -> float:
    each = encoders.flops(setup.model.encoders[name], view[:1])
    return setup.batch_size * (3 * sum(each) - each[0])


def _operations(run: Callable[[], object], folder: str) -> dict[str, float]:
    """Type of an operation -> its share of the time that all of them took, the largest first."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tf.profiler.experimental.Profile(folder):
        run()
    space, total = xplane_pb2.XSpace(), collections.Counter()
    space.ParseFromString(next(pathlib.Path(folder).rglob("*.xplane.pb")).read_bytes())
    for plane in space.planes:
        if plane.name != "/host:CPU":
            continue
        for event in (event for line in plane.lines for event in line.events):
            match = _OPERATION.fullmatch(plane.event_metadata[event.metadata_id].name)
            if match:
                total[match[1]] += event.duration_ps
    return {kind: value / total.total() for kind, value in total.most_common()}


if __name__ == "__main__":
    main()
