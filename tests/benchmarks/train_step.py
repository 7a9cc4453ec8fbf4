"""Where the time of a training step goes: `python -m tests.benchmarks.train_step`.

Times a step of the `small` preset with 64 clips, as the Trainer runs it, in turns with the forward and backward pass of
its two encoders alone; then its other parts one by one; and the share of each type of operation, by TensorFlow's
profiler. The aim is a step that takes at most 10 % longer than its encoders, and waits for input less than 1 % of the
time.
"""

import argparse
import collections
import pathlib
import re
import tempfile
from collections.abc import Callable, Iterator

import tensorflow as tf
from etils import epath
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from components.trainer import TrainerConfig, compiled_loop, step, summaries
from models import contrastive
from models.dual import DualEncoder
from pipeline.configs import overrides
from tests.benchmarks import encoders, measuring
from tests.benchmarks.record import RESULTS
from tests.components.trainer import training

BATCH = 64
_STEPS_IN_A_ROW = 3
# An operation appears in a trace as scope/of/the/operation:Type. `EagerExecute: f` and `Run::Run` are no operations.
_OPERATION = re.compile(r"[^:]+:(\w+)")


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each; the fastest one counts")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus = pathlib.Path(folder) / "corpus"
        measuring.write_examples(corpus, sounds=measuring.sounds(seconds=10.0), clips=512)
        figures = {"preset": "small", "batch_size": BATCH, **_breakdown(corpus, folder, repeats=flags.repeats)}
        measuring.save("train_step", figures, results=flags.results)


def on_one_device(
    config: TrainerConfig, corpus: pathlib.Path, *, prepare: Callable[[DualEncoder], None] | None = None
) -> tuple[step.TrainingStep, Iterator]:
    """Builds what the Trainer builds from a config, and its input, on one CPU device.

    Args:
        config: The config.
        corpus: The folder of examples.
        prepare: If given, is called with the initial model before the optimizer is made for its weights.
    """
    setup = training.set_up(config, strategy=tf.distribute.OneDeviceStrategy("cpu:0"), prepare=prepare)
    return setup, training.iterator(setup, corpus)


def _breakdown(corpus: pathlib.Path, folder: str, *, repeats: int) -> dict:
    """Measures a step, its parts, and how close the encoders come to the peak of a matrix product."""
    setup, batches = on_one_device(overrides.replace(TrainerConfig(), {"batch_size": BATCH}), corpus)
    loop = compiled_loop.make_loop(setup)
    log = summaries.TrainingLog(epath.Path(folder) / "events", history=epath.Path(folder) / "history.csv", first=0)

    def whole() -> None:
        logs, _ = loop(batches, tf.constant(1))
        figures = {name: float(value) for name, value in logs.items()}
        waited = figures.pop("input_wait_s")
        log.training(1, {**figures, "learning_rate": 0.0, "clips_per_s": 0.0}, times={"input": waited})

    encoder_inputs = [
        setup.model.encoder_input(branch, sounds, training=True) for branch, sounds in enumerate(_sounds(setup))
    ]
    seconds, peak = encoders.fastest({"whole": whole, "encoders": _encoders(setup, encoder_inputs)}, repeats=repeats)
    part_seconds, _ = encoders.fastest(
        {
            "augmentation and front ends": _views(setup),
            "loss": _loss(setup),
            "optimiser and norms": _update(setup),
        },
        repeats=repeats,
    )
    # Several steps in a row leave the input pipeline no pause in which to read ahead.
    waited = float(loop(batches, tf.constant(_STEPS_IN_A_ROW))[0]["input_wait_s"])
    flops = sum(
        _training_flops(setup, name, encoder_input)
        for name, encoder_input in zip(setup.model.encoders, encoder_inputs, strict=True)
    )
    return {
        "whole_s": round(seconds["whole"], 2),
        "encoders_s": round(seconds["encoders"], 2),
        "whole_to_encoders": round(seconds["whole"] / seconds["encoders"], 3),
        "parts_s": {name: round(value, 3) for name, value in part_seconds.items()},
        "operations": _operations(whole, folder),
        "input_wait_share": round(waited / seconds["whole"], 5),
        "encoders_share_of_peak": round(flops / seconds["encoders"] / peak, 3),
        "whole_share_of_peak": round(flops / seconds["whole"] / peak, 3),
    }


def _sounds(setup: step.TrainingStep) -> list[tf.Tensor]:
    shape = (setup.micro_batch, setup.model.crop_samples)
    return [tf.random.stateless_normal(shape, (seed, 0)) / 10 for seed in range(2)]


def _encoders(setup: step.TrainingStep, encoder_inputs: list[tf.Tensor]) -> Callable[[], object]:
    """Returns a function that runs the forward and backward pass of both encoders."""
    networks = list(setup.model.encoders.values())
    variables = [variable.value for network in networks for variable in network.trainable_variables]

    @tf.function
    def run() -> tf.Tensor:
        with tf.GradientTape() as tape:
            outputs = [
                network(encoder_input, training=True)
                for network, encoder_input in zip(networks, encoder_inputs, strict=True)
            ]
            total = tf.add_n([tf.reduce_sum(tf.square(output)) for output in outputs])
        return tf.add_n([tf.reduce_max(gradient) for gradient in tape.gradient(total, variables)])

    return lambda: run().numpy()


def _views(setup: step.TrainingStep) -> Callable[[], object]:
    sounds = _sounds(setup)

    @tf.function
    def run() -> tf.Tensor:
        encoder_inputs = [
            setup.model.encoder_input(branch, sound, training=True) for branch, sound in enumerate(sounds)
        ]
        return tf.add_n([tf.reduce_max(encoder_input) for encoder_input in encoder_inputs])

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


def _training_flops(setup: step.TrainingStep, name: str, encoder_input: tf.Tensor) -> float:
    return setup.batch_size * encoders.training_flops(encoders.flops(setup.model.encoders[name], encoder_input[:1]))


def _operations(run: Callable[[], object], folder: str) -> dict[str, float]:
    """Profiles a call; returns the share of each type of operation in the time of all, from 1 % on, largest first."""
    with tf.profiler.experimental.Profile(folder):
        run()
    space = xplane_pb2.XSpace()
    space.ParseFromString(next(pathlib.Path(folder).rglob("*.xplane.pb")).read_bytes())
    durations = collections.Counter()
    for plane in space.planes:
        if plane.name != "/host:CPU":
            continue
        for line in plane.lines:
            for event in line.events:
                match = _OPERATION.fullmatch(plane.event_metadata[event.metadata_id].name)
                if match:
                    durations[match[1]] += event.duration_ps
    shares = {kind: value / durations.total() for kind, value in durations.most_common()}
    return {kind: round(share, 3) for kind, share in shares.items() if share >= 0.01}


if __name__ == "__main__":
    main()
