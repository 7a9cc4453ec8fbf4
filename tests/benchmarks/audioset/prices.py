"""The machine hours, storage operations and bytes that all of AudioSet takes, and what they cost at given prices.

`python -m tests.benchmarks.audioset.prices --vcpu_hour=... --gb_month=...` multiplies with today's prices of your
region. No price stands here: they change, and differ by region.
"""

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence

from beam_jobs.remote_file import TENSORFLOW_READ_BYTES
from pipeline.configs import presets
from tests.benchmarks import cost, tables
from tests.benchmarks.audioset import made_up, rows
from tests.benchmarks.record import RESULTS

CLASS_A, CLASS_B = ("list", "upload", "copy", "patch"), ("read", "stat")
"""Kinds of requests that Cloud Storage bills as operations of class A and of class B; removing is free."""

GB_PER_VCPU = 4
TRAIN_SHARE = 0.95 * (1 - 20_371 / cost.CLIPS)

PRICES = {
    "vcpu_hour": "a vCPU of a Dataflow worker, per hour",
    "memory_gb_hour": "a GB of its memory, per hour",
    "gb_month": "a GB in the bucket, per month",
    "class_a_1000": "1,000 operations of class A",
    "class_b_1000": "1,000 operations of class B",
    "tpu_hour": "the TPU that trains, all its cores, per hour",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quantity:
    """What is paid for.

    Attributes:
        name: What it is.
        formula: How it follows from what was measured.
        amount: How much of it.
        price: Key of `PRICES`.
    """

    name: str
    formula: str
    amount: float
    price: str


def quantities(measured: Mapping, *, ingest: Mapping) -> list[Quantity]:
    """Returns what the stages before the training take on Google Cloud.

    Args:
        measured: The result of `tests.benchmarks.audioset`.
        ingest: The result of `tests.benchmarks.ingest`.
    """
    rate = ingest["all_cores"]["beam_clips_per_s"] / ingest["all_cores"]["cores"]
    parts = measured["parts"]
    sums = rows.figure("", parts["statistics: sums of clips"], cost.CLIPS, rows.cpu_s).value / cost.CLIPS
    starting = cost.WORKERS * cost.VCPUS_PER_WORKER * cost.START_S / 3600
    ingest_h, statistics_h = cost.CLIPS / rate / 3600 + starting, cost.CLIPS * sums / 3600 + starting
    start = f"{cost.WORKERS} · {cost.VCPUS_PER_WORKER} · {cost.START_S} s / 3600"
    stored_gb = cost.CLIPS * made_up.CLIP_BYTES / 1e9
    source_gb = cost.CLIPS * ingest["bytes_per_source_clip"] / 1e9
    return [
        Quantity(
            name="vCPU-hours, ingest", formula=f"N / {rate:.1f}/s / 3600 + {start}", amount=ingest_h, price="vcpu_hour"
        ),
        Quantity(
            name="vCPU-hours, statistics",
            formula=f"N · {1000 * sums:.1f} ms / 3600 + {start}",
            amount=statistics_h,
            price="vcpu_hour",
        ),
        Quantity(
            name="GB-hours of memory",
            formula=f"{GB_PER_VCPU} · vCPU-hours",
            amount=GB_PER_VCPU * (ingest_h + statistics_h),
            price="memory_gb_hour",
        ),
        Quantity(
            name="GB of source audio",
            formula=f"N · {ingest['bytes_per_source_clip']:,} B",
            amount=source_gb,
            price="gb_month",
        ),
        Quantity(name="GB of examples", formula=f"N · {made_up.CLIP_BYTES:,} B", amount=stored_gb, price="gb_month"),
        Quantity(
            name="operations of class A until the examples are published",
            formula="requests of the parts above",
            amount=operations(parts, CLASS_A),
            price="class_a_1000",
        ),
        Quantity(
            name="operations of class B until then",
            formula="the same, and one for each source file",
            amount=operations(parts, CLASS_B) + cost.CLIPS,
            price="class_b_1000",
        ),
    ]


def operations(parts: Mapping[str, Mapping[str, Mapping]], kinds: tuple[str, ...]) -> float:
    """Returns how many requests of these kinds all clips take from the listing to the published examples."""

    def of(row: Mapping) -> float:
        return sum(row.get("requests", {}).get(kind, 0) for kind in kinds)

    taken = ("digest of the source, bucket", "listing, bucket", "plan, bucket", "shards, bucket", "publishing, bucket")
    return sum(rows.figure(name, parts[name], cost.CLIPS, of).value for name in taken if name in parts)


def requests(preset: str) -> int:
    """Returns how many clips the training of a preset reads from the bucket. Each is an operation of class B."""
    trainer = presets.config(preset).trainer
    return trainer.steps * trainer.batch_size


def training(preset: str, *, step_s: float) -> list[Quantity]:
    """Returns how many hours of a TPU and how many operations on the bucket a training takes.

    Args:
        preset: Name of the preset that is trained.
        step_s: How long a training step takes, in seconds.
    """
    return [
        Quantity(
            name="hours of the TPU",
            formula="steps · t / 3600",
            amount=presets.config(preset).trainer.steps * step_s / 3600,
            price="tpu_hour",
        ),
        Quantity(
            name="operations of class B of the training",
            formula="steps · clips in a batch",
            amount=requests(preset),
            price="class_b_1000",
        ),
    ]


def render(measured: dict, *, ingest: dict) -> str:
    """Renders the quantities, those of the training by preset, and the prices to look up."""
    found = quantities(measured, ingest=ingest)
    first = tables.table(
        [f"N = {cost.CLIPS:,} clips", "formula", "", "times"],
        [[one.name, one.formula, _amount(one.amount), f"`{one.price}`" + _per(one.price)] for one in found],
    )
    lines = []
    for name in ("small", "base", "final"):
        trainer = presets.config(name).trainer
        clips = requests(name)
        lines.append(
            [
                name,
                f"{trainer.steps:,}",
                f"{trainer.batch_size:,}",
                f"{trainer.steps / 3600:,.0f} · t",
                f"{clips / (cost.CLIPS * TRAIN_SHARE):,.0f}",
                f"{clips * TENSORFLOW_READ_BYTES / 1e12:,.0f} TB",
                f"{clips / 1e6:,.0f} million",
            ]
        )
    header = ["preset", "steps", "clips in a batch", "hours of the TPU", "passes", "read from the bucket", "class B"]
    prices = tables.table(["price", "of", "today"], [[f"`{key}`", text, "look it up"] for key, text in PRICES.items()])
    return first + "\n" + tables.table(header, lines) + "\n" + prices


def _amount(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _per(price: str) -> str:
    return " / 1000" if price.endswith("_1000") else ""


def main(arguments: Sequence[str] | None = None) -> None:
    """Multiplies the quantities with prices."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for key, text in PRICES.items():
        parser.add_argument(f"--{key}", type=float, default=0.0, metavar="PRICE", help=f"price of {text}")
    parser.add_argument("--months", type=float, default=1.0, help="how long source and examples are kept")
    parser.add_argument("--preset", default="final", choices=["small", "base", "final"], help="what is trained")
    parser.add_argument("--step_s", type=float, default=0.0, help="seconds of a training step, as the run says")
    flags = parser.parse_args(arguments)
    if flags.tpu_hour and not flags.step_s:
        parser.error("--tpu_hour needs --step_s: the hours of the TPU follow from the seconds of a training step")
    measured, ingest = (json.loads((RESULTS / f"{name}.json").read_text()) for name in ("audioset", "ingest"))
    total = 0.0
    for one in [*quantities(measured, ingest=ingest), *training(flags.preset, step_s=flags.step_s)]:
        times = getattr(flags, one.price) / (1000 if one.price.endswith("_1000") else 1)
        times *= flags.months if one.price == "gb_month" else 1
        total += one.amount * times
        print(f"{one.amount * times:14,.2f}  {one.name}: {_amount(one.amount)} at {getattr(flags, one.price):g}")
    print(f"{total:14,.2f}  in all")


if __name__ == "__main__":
    main()
