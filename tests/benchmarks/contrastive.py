"""Memory and time of the contrastive loss over the batch size: `python -m tests.benchmarks.contrastive`.

Each figure is of a fresh process on Linux, of a compiled function as in training. The dense form is eq. (1) written
down as it stands, with its gradient left to TensorFlow.
"""

import argparse
import datetime
import json
import pathlib
import re
import time

from tests.benchmarks import measuring
from tests.benchmarks.record import RESULTS, machine

DIM = 1024
PAIRS = [1024 * 2**i for i in range(6)]
DENSE_UP_TO = 8192  # pairs; each doubling takes four times the memory


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, nargs="+", default=PAIRS, help="batch sizes (default: 1024 to 32768)")
    parser.add_argument("--measure", nargs=3, metavar=("FORM", "PAIRS", "WHAT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        form, pairs, what = arguments.measure
        print(json.dumps(measure(form, int(pairs), what)))
        return
    rows = []
    print(f"{'pairs':>6} {'form':8} {'what':15} {'seconds':>8} {'peak MiB':>9}")
    for pairs in arguments.pairs:
        for form in ("blocked", "dense") if pairs <= DENSE_UP_TO else ("blocked",):
            for what in ("value", "value+gradient"):
                rows.append({"pairs": pairs, "form": form, "what": what, **_in_a_fresh_process(form, pairs, what)})
                print("{pairs:6} {form:8} {what:15} {seconds:8.2f} {peak_mib:9,}".format(**rows[-1]), flush=True)
    result = {"date": str(datetime.date.today()), "machine": machine(), "dim": DIM, "rows": rows}
    (RESULTS / "contrastive.json").write_text(json.dumps(result, indent=1) + "\n")


def _in_a_fresh_process(form: str, pairs: int, what: str) -> dict:
    return measuring.in_a_fresh_process("tests.benchmarks.contrastive", "--measure", form, pairs, what)


def measure(form: str, pairs: int, what: str) -> dict:
    """Seconds of a call, and MiB at its peak beyond what imports and projections take."""
    import tensorflow as tf

    from models import contrastive

    loss = {"blocked": contrastive.nt_xent, "dense": dense}[form]

    def value(z_a, z_b):
        return tf.reduce_mean(loss(z_a, z_b))

    def value_and_gradient(z_a, z_b):
        with tf.GradientTape() as tape:
            tape.watch([z_a, z_b])
            found = value(z_a, z_b)
        return found, tape.gradient(found, [z_a, z_b])

    z = [tf.random.stateless_normal((pairs, DIM), (i, 0)) for i in range(2)]
    compiled = tf.function(value if what == "value" else value_and_gradient).get_concrete_function(*z)
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is resident
    before = peak_kib()
    seconds = []
    for _ in range(3 if pairs <= 4096 else 1):  # the first call has about a second more
        start = time.perf_counter()
        compiled(*z)
        seconds.append(time.perf_counter() - start)
    return {"seconds": round(min(seconds), 2), "peak_mib": round((peak_kib() - before) / 1024)}


def dense(z_a, z_b, temperature=0.1):
    """Eq. (1) with all similarities at once: `(N,)`."""
    from keras import ops

    z = ops.normalize(ops.concatenate([z_a, z_b]), axis=-1)
    similarity = ops.matmul(z, ops.transpose(z)) / temperature
    others = similarity - 1e9 * ops.eye(similarity.shape[0])
    positive = ops.sum(z * ops.roll(z, len(z_a), axis=0), axis=-1) / temperature
    return ops.sum(ops.reshape(ops.logsumexp(others, axis=1) - positive, (2, -1)), axis=0)


def peak_kib() -> int:
    """The most memory that this process has had so far."""
    return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1])


if __name__ == "__main__":
    main()
