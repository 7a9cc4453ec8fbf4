"""Runs the measurements, see `tests.benchmarks.audioset`."""

import argparse
import dataclasses
import importlib
import json
import pathlib
import tempfile

from tests.benchmarks import measuring
from tests.benchmarks.audioset.rows import SIZES
from tests.benchmarks.record import RESULTS

NAME = "audioset"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """Parts that are measured in one process.

    Attributes:
        function: Module of this package and its function, which gets a folder, the number of clips and a `Gauge`.
        sizes: The numbers of clips.
        in_bucket: Whether it needs the emulated bucket.
    """

    function: str
    sizes: tuple[int, ...] = SIZES
    in_bucket: bool = False


GROUPS = {
    "listing": Group(function="ingest.listing"),
    "listing_bucket": Group(function="ingest.listing_bucket", in_bucket=True),
    "plan": Group(function="ingest.plan_here"),
    "plan_bucket": Group(function="ingest.plan_bucket", in_bucket=True),
    # Samples, because all shards would take hours and 670 GB.
    "sharding": Group(function="ingest.sharding", sizes=(500, 2000)),
    "sharding_bucket": Group(function="ingest.sharding_bucket", sizes=(420, 840), in_bucket=True),
    "publishing": Group(function="ingest.publishing_here"),
    "publishing_bucket": Group(function="ingest.publishing_bucket", in_bucket=True),
    "summing": Group(function="reading.summing", sizes=(200, 800)),
    "merge": Group(function="reading.merge"),
    "duplicates": Group(function="reading.duplicates"),  # Beam's runner for one machine keeps all keys in memory.
    "validation": Group(function="reading.validation"),
    "training_input": Group(function="reading.training_input"),
    "evaluation_clips": Group(function="reading.evaluation_clips"),
    # Two million rows take 16 GB on disk.
    "evaluation_pass": Group(function="reading.evaluation_pass", sizes=SIZES[:2]),
}


def main() -> None:
    """Runs the command, or one measurement in a process that the command started."""
    parser = argparse.ArgumentParser(description="What the stages take with 10,000 to two million listed clips.")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), help="what to measure")
    parser.add_argument("--clips", type=int, nargs="+", help="numbers of clips, of those that are measured")
    parser.add_argument("--work", type=pathlib.Path, help="where to write files; by default a temporary folder")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.here:
        print(json.dumps(measure(flags.only[0], flags.clips[0], folder=flags.work)))
        return
    for name in flags.only:
        for clips in GROUPS[name].sizes:
            if flags.clips and clips not in flags.clips:
                continue
            with tempfile.TemporaryDirectory(dir=flags.work) as folder:
                arguments = ("--here", "--only", name, "--clips", clips, "--work", folder)
                rows = measuring.in_a_fresh_process(__spec__.parent, *arguments)
            _save(rows, clips=clips, results=flags.results)


def measure(name: str, clips: int, *, folder: pathlib.Path) -> dict[str, dict]:
    """Measures one group in this process and returns its rows."""
    # Imported here because the parent process needs none of this.
    from tests.benchmarks.audioset import bucket, gauge

    module, function = GROUPS[name].function.split(".")
    run = getattr(importlib.import_module(f"{__package__}.{module}"), function)
    if not GROUPS[name].in_bucket:
        of_this_machine = gauge.Gauge(folder)
        run(folder, clips, of_this_machine)
        return of_this_machine.rows
    with bucket.service() as service:
        of_bucket = gauge.Gauge(folder, service=service)
        run(folder, clips, of_bucket)
        return of_bucket.rows


def _save(rows: dict[str, dict], *, clips: int, results: pathlib.Path) -> None:
    """Adds rows to the result file, in place of earlier ones of the same parts and number of clips."""
    file = results / f"{NAME}.json"
    parts = json.loads(file.read_text())["parts"] if file.exists() else {}
    for part, row in rows.items():
        parts[part] = dict(sorted({**parts.get(part, {}), str(clips): row}.items(), key=lambda item: int(item[0])))
    measuring.save(NAME, {"parts": parts}, results=results)


if __name__ == "__main__":
    main()
