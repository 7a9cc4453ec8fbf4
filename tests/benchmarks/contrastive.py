"""Memory and time of the contrastive loss over the batch size: `python -m tests.benchmarks.contrastive`.

Compares our loss, which computes the similarities block by block, with a dense form that holds all of them at once and
leaves the gradient to TensorFlow. Each figure is measured in a fresh process on Linux, in a compiled function and with
the settings of training.

The yardstick is the time of the matrix products alone: one of the shape (2N, d) x (d, 2N) for the value; for the
gradient another one, because blocks are computed again, and one of the shape (2N, 2N) x (2N, d). They are timed right
after the loss, so that other load on the machine slows both.
"""

import argparse
import itertools
import json
import pathlib
import statistics
import time
from typing import TYPE_CHECKING

from pipeline import tensorflow_settings
from tests.benchmarks import measuring

if TYPE_CHECKING:
    import tensorflow as tf

DIM = 1024
PAIRS = [1024 * 2**i for i in range(6)]
DENSE_UP_TO = 8192  # pairs; each doubling takes four times the memory


def main() -> None:
    """Runs the command, or one measurement in a process that the command started."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, nargs="+", default=PAIRS, help="batch sizes (default: 1024 to 32768)")
    parser.add_argument("--measure", nargs=3, metavar=("FORM", "PAIRS", "WHAT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        form, pairs, what = arguments.measure
        print(json.dumps(measure(form, int(pairs), what)))
        return
    rows = []
    print(f"{'pairs':>6} {'form':8} {'what':15} {'seconds':>8} {'of products':>11} {'peak MiB':>9}")
    for pairs in arguments.pairs:
        forms = ("blocked", "dense") if pairs <= DENSE_UP_TO else ("blocked",)
        for form, what in itertools.product(forms, ("value", "value+gradient")):
            figures = measuring.in_a_fresh_process("tests.benchmarks.contrastive", "--measure", form, pairs, what)
            print(
                f"{pairs:6} {form:8} {what:15} {figures['seconds']:8.2f} {figures['share_of_products']:11.0%} "
                f"{figures['peak_mib']:9,}",
                flush=True,
            )
            rows.append({"pairs": pairs, "form": form, "what": what, **figures})
    measuring.save("contrastive", {"dim": DIM, "rows": rows})


def measure(form: str, pairs: int, what: str) -> dict:
    """Measures one form of the loss.

    Args:
        form: "blocked" or "dense".
        pairs: Pairs in the batch.
        what: "value" or "value+gradient".

    Returns:
        Of the fastest call: `seconds`, `products_seconds` of the matrix products alone, and their ratio
        `share_of_products`, which is 1 if the loss takes no longer. `peak_mib` is the memory beyond that of the imports
        and the projections.
    """
    tensorflow_settings.apply()
    # Imported here because only the measuring process needs them.
    import tensorflow as tf

    from models import contrastive

    loss = {"blocked": contrastive.nt_xent, "dense": dense}[form]

    def value(z_a: tf.Tensor, z_b: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(loss(z_a, z_b))

    def value_and_gradient(z_a: tf.Tensor, z_b: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            tape.watch([z_a, z_b])
            mean = value(z_a, z_b)
        return mean, tape.gradient(mean, [z_a, z_b])

    z = [tf.random.stateless_normal((pairs, DIM), (i, 0)) for i in range(2)]
    compiled = tf.function(value if what == "value" else value_and_gradient).get_concrete_function(*z)
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # resets the peak to the memory that is resident now
    before = measuring.peak_kib()
    calls = []
    peak_mib = 0
    for _ in range(6 if pairs <= 4096 else 1):  # the first call takes about a second longer
        start = time.perf_counter()
        compiled(*z)
        seconds = time.perf_counter() - start
        peak_mib = peak_mib or round((measuring.peak_kib() - before) / 1024)
        calls.append((seconds, seconds_of_products(tf.concat(z, axis=0), what)))
    seconds, products = min(calls)
    return {
        "seconds": round(seconds, 3),
        "products_seconds": round(products, 3),
        "share_of_products": round(products / seconds, 3),
        "peak_mib": peak_mib,
    }


def seconds_of_products(z: "tf.Tensor", what: str, *, rows: int = 2048) -> float:
    """Returns how long the matrix products of the loss take alone, extrapolated from those of the first rows.

    Args:
        z: Projections of both branches, `(2N, d)`.
        what: "value" or "value+gradient".
        rows: Number of rows. More would not be faster per row.
    """
    # Imported here because only the measuring process needs it.
    import tensorflow as tf

    anchors = z[:rows]
    similarity_seconds, sum_seconds = [], []
    for _ in range(3):
        start = time.perf_counter()
        sim = tf.matmul(anchors, z, transpose_b=True)  # (rows, 2N)
        similarity_seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
        tf.matmul(sim, z)  # (rows, d)
        sum_seconds.append(time.perf_counter() - start)
    similarity, weighted_sum = (statistics.median(times) for times in (similarity_seconds, sum_seconds))
    seconds = similarity if what == "value" else 2 * similarity + weighted_sum
    return seconds * len(z) / len(anchors)


def dense(z_a: "tf.Tensor", z_b: "tf.Tensor", temperature: float = 0.1) -> "tf.Tensor":
    """Computes eq. (1) of the paper from the full matrix of similarities.

    Args:
        z_a: Projections of branch A, `(N, d)`.
        z_b: Projections of branch B, `(N, d)`.
        temperature: tau.

    Returns:
        The loss of each pair, `(N,)`.
    """
    from keras import ops  # imported here because only the measuring process needs it

    z = ops.normalize(ops.concatenate([z_a, z_b]), axis=-1)  # (2N, d)
    sim = ops.matmul(z, ops.transpose(z)) / temperature  # (2N, 2N)
    without_self = sim - 1e9 * ops.eye(sim.shape[0])
    positive = ops.sum(z * ops.roll(z, len(z_a), axis=0), axis=-1) / temperature  # (2N,)
    losses = ops.logsumexp(without_self, axis=1) - positive  # (2N,)
    return ops.sum(ops.reshape(losses, (2, -1)), axis=0)


if __name__ == "__main__":
    main()
