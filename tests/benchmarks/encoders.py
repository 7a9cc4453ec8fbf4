"""Speed of every encoder: `python -m tests.benchmarks.encoders` writes `results/encoders.json` and prints a table.

Times are those of a batch of 3-s crops, divided by the batch size. Training is the forward and the backward pass, with
dropout. Each encoder is timed in turns with the same network of plain Keras layers and with a large matrix product,
whose best rate is taken as the peak of the machine. Compare the ratios rather than the milliseconds.
"""

import argparse
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

import keras
import numpy as np
import tensorflow as tf

from models import catalog, encoders
from tests.benchmarks import measuring
from tests.models.plain import twin

SECONDS, SAMPLE_RATE, BANDS = 3.0, 16000, 80
MATMUL_FLOPS = 2.0 * 4096 * 2048 * 2048
HEADER = "encoder       parameters  GFLOP   dim   forward ms  training ms  of peak   plain: forward  training  of peak"
Name = TypeVar("Name", bound=Hashable)


def flops(model: keras.Model, crop: tf.Tensor) -> list[float]:
    """Counts the floating-point operations of each convolution and dense layer, and neglects those of all others.

    Args:
        model: The network.
        crop: One input, with a batch axis of 1.

    Returns:
        The operations of each layer in the order of the forward pass, two for each multiplication and addition.
    """
    layers = [layer for layer in model.layers if hasattr(layer, "kernel")]
    outputs = keras.Model(model.input, [layer.output for layer in layers])(crop)
    return [
        2.0 * float(np.prod(layer.kernel.shape)) * float(np.prod(output.shape[1:-1]))
        for layer, output in zip(layers, outputs, strict=True)
    ]


def training_flops(forward_flops: list[float]) -> float:
    """Returns the operations of a forward and a backward pass.

    The backward pass computes two gradients, by the weights and by the inputs, and each costs as much as the forward
    pass. The first layer needs no gradient by its input, which is the crop.
    """
    return 3 * sum(forward_flops) - forward_flops[0]


def measure(name: str, *, batch: int, repeats: int) -> dict:
    """Times one encoder and its twin of plain Keras layers.

    Args:
        name: The encoder's name.
        batch: Crops at a time.
        repeats: Number of measurements; the fastest one counts.
    """
    samples = round(SECONDS * SAMPLE_RATE)
    shape = (samples,) if catalog.ENCODERS[name].waveform else (samples // 160 - 1, BANDS)
    crops = tf.random.normal((batch, *shape), seed=0)
    model = encoders.build(name, n_mels=BANDS)
    forward_flops = flops(model, crops[:1])
    functions = {}
    for label, network in (("diptych", model), ("plain", twin(model))):
        functions[label, "forward"] = _forward(network, crops)
        functions[label, "training"] = _training(network, crops)
    seconds, peak = fastest(functions, repeats=repeats)
    result = {
        "parameters": sum(int(np.prod(variable.shape)) for variable in model.trainable_variables),
        "dim": model.output_shape[-1],
        "gflop": sum(forward_flops) / 1e9,
        "peak_gflop_per_s": peak / 1e9,
    }
    for label in ("diptych", "plain"):
        forward_s, training_s = seconds[label, "forward"], seconds[label, "training"]
        result[label] = {
            "forward_ms": 1e3 * forward_s / batch,
            "training_ms": 1e3 * training_s / batch,
            "forward_share_of_peak": sum(forward_flops) * batch / forward_s / peak,
            "training_share_of_peak": training_flops(forward_flops) * batch / training_s / peak,
        }
    return result


def fastest(functions: Mapping[Name, Callable[[], object]], *, repeats: int) -> tuple[dict[Name, float], float]:
    """Times functions in turns, so that a busy moment of the machine affects all of them alike.

    Args:
        functions: What to time, by name.
        repeats: Number of turns.

    Returns:
        The shortest time of each function, in seconds, and the best rate of a large matrix product, in FLOP/s.
    """
    product = _matmul()
    for function in (product, *functions.values()):
        function()  # the first call traces the function
    times: dict[Name, list[float]] = {name: [] for name in functions}
    product_times = []
    for _ in range(repeats):
        for name, function in functions.items():
            times[name].append(_seconds(function))
            product_times += [_seconds(product) for _ in range(3)]
    return {name: min(values) for name, values in times.items()}, MATMUL_FLOPS / min(product_times)


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _matmul() -> Callable[[], object]:
    a, b = tf.random.normal((4096, 2048)), tf.random.normal((2048, 2048))
    product = tf.function(lambda: tf.matmul(a, b))
    return lambda: product().numpy()


def _forward(model: keras.Model, crops: tf.Tensor) -> Callable[[], object]:
    forward = tf.function(lambda: model(crops, training=False))
    return lambda: forward().numpy()


def _training(model: keras.Model, crops: tf.Tensor) -> Callable[[], object]:
    variables = [variable.value for variable in model.trainable_variables]

    @tf.function
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(model(crops, training=True)))
        return tf.add_n([tf.reduce_max(gradient) for gradient in tape.gradient(loss, variables)])

    return lambda: step().numpy()


def row(name: str, result: dict) -> str:
    """Formats the figures of one encoder as a line of the printed table."""
    ours, plain = result["diptych"], result["plain"]
    return (
        f"{name:<12}{result['parameters']:>12,}{result['gflop']:>7.1f}{result['dim']:>6}"
        f"{ours['forward_ms']:>13.1f}{ours['training_ms']:>13.1f}{ours['training_share_of_peak']:>9.0%}"
        f"{plain['forward_ms']:>17.1f}{plain['training_ms']:>10.1f}{plain['training_share_of_peak']:>9.0%}"
    )


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("encoders", nargs="*", default=list(catalog.ENCODERS), help="which encoders (default: all)")
    parser.add_argument("--batch", type=int, default=16, help="crops at a time (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each (default: %(default)s)")
    flags = parser.parse_args()
    results = {}
    print(HEADER)
    for name in flags.encoders:
        results[name] = measure(name, batch=flags.batch, repeats=flags.repeats)
        print(row(name, results[name]), flush=True)
        keras.backend.clear_session()
    if set(results) == set(catalog.ENCODERS):
        measuring.save("encoders", {"batch": flags.batch, "encoders": results})


if __name__ == "__main__":
    main()
