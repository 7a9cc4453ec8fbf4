"""Speed of every encoder: `python -m tests.benchmarks.encoders` writes `results/encoders.json` and prints its table.

Times are of a batch of 3-s crops, divided by the batch; training is the forward and the backward pass with dropout.
Each encoder is timed in turns with the same network of plain Keras layers and with a large matrix product, whose best
rate is this machine's peak: compare the ratios, not the milliseconds.
"""

import argparse
import datetime
import json
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from models import catalog, encoders
from tests.benchmarks.record import RESULTS, machine
from tests.models.plain import twin

SECONDS, SAMPLE_RATE, BANDS = 3.0, 16000, 80
HEADER = "encoder       parameters  GFLOP   dim   forward ms  training ms  of peak   plain: forward  training  of peak"


def flops(model: keras.Model, crop: tf.Tensor) -> list[float]:
    """Floating-point operations of each convolution for one crop, two per multiplication; the rest is negligible."""
    layers = [layer for layer in model.layers if hasattr(layer, "kernel")]
    outputs = keras.Model(model.input, [layer.output for layer in layers])(crop)
    return [
        2.0 * float(np.prod(layer.kernel.shape)) * float(np.prod(output.shape[1:-1]))
        for layer, output in zip(layers, outputs, strict=True)
    ]


def measure(name: str, *, batch: int, repeats: int) -> dict:
    """Times one encoder.

    Args:
        name: Of the encoder.
        batch: Crops at a time.
        repeats: Of each measurement; the fastest counts.
    """
    waveform = catalog.ENCODERS[name].waveform
    samples = round(SECONDS * SAMPLE_RATE)
    shape = (samples,) if waveform else (samples // 160 - 1, BANDS)
    crops = tf.random.normal((batch, *shape), seed=0)
    model = encoders.build(name, n_mels=BANDS)
    forward_flops = flops(model, crops[:1])
    # Backward: by weights and by inputs, as much again each; nothing wants the gradient of the crop itself.
    training_flops = 3 * sum(forward_flops) - forward_flops[0]
    timed = {}
    for label, network in (("diptych", model), ("plain", twin(model))):
        timed[label, "forward"] = _forward(network, crops)
        timed[label, "training"] = _training(network, crops)
    seconds, peak = fastest(timed, repeats=repeats)
    result = {
        "parameters": sum(int(np.prod(v.shape)) for v in model.trainable_variables),
        "dim": model.output_shape[-1],
        "gflop": sum(forward_flops) / 1e9,
        "peak_gflop_per_s": peak / 1e9,
    }
    for label in ("diptych", "plain"):
        result[label] = {
            "forward_ms": 1e3 * seconds[label, "forward"] / batch,
            "training_ms": 1e3 * seconds[label, "training"] / batch,
            "forward_share_of_peak": sum(forward_flops) * batch / seconds[label, "forward"] / peak,
            "training_share_of_peak": training_flops * batch / seconds[label, "training"] / peak,
        }
    return result


def fastest(functions: dict, *, repeats: int) -> tuple[dict, float]:
    """The shortest time of each function, in seconds, and the best rate of the matrix product, in FLOP per second.

    They take turns, so that a busy moment hits all alike.
    """
    times = {name: [] for name in functions}
    product, products = _matmul(), []
    for function in (product, *functions.values()):
        function()  # traces it
    for _ in range(repeats):
        for name, function in functions.items():
            times[name].append(_seconds(function))
            products += [_seconds(product) for _ in range(3)]
    return {name: min(values) for name, values in times.items()}, MATMUL_FLOPS / min(products)


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


MATMUL_FLOPS = 2.0 * 4096 * 2048 * 2048


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
    """A line of the table."""
    ours, plain = result["diptych"], result["plain"]
    return (
        f"{name:<12}{result['parameters']:>12,}{result['gflop']:>7.1f}{result['dim']:>6}"
        f"{ours['forward_ms']:>13.1f}{ours['training_ms']:>13.1f}{ours['training_share_of_peak']:>9.0%}"
        f"{plain['forward_ms']:>17.1f}{plain['training_ms']:>10.1f}{plain['training_share_of_peak']:>9.0%}"
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("encoders", nargs="*", default=list(catalog.ENCODERS), help="which ones (default: all)")
    parser.add_argument("--batch", type=int, default=16, help="crops at a time (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="of each measurement (default: %(default)s)")
    args = parser.parse_args()
    results = {}
    print(HEADER)
    for name in args.encoders:
        results[name] = measure(name, batch=args.batch, repeats=args.repeats)
        print(row(name, results[name]), flush=True)
        keras.backend.clear_session()
    if set(results) == set(catalog.ENCODERS):
        facts = {"date": f"{datetime.date.today()}", "machine": machine(), "batch": args.batch}
        (RESULTS / "encoders.json").write_text(json.dumps({**facts, "encoders": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
