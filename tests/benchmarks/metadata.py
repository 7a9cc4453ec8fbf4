"""What a stage, and each command about runs, takes in a root with 1,000 runs: `python -m tests.benchmarks.metadata`.

Two roots are measured: in one every run ran all stages, in the other all but the first were skipped. The folders of the
artifacts are not there, so the time to check them, which does not depend on the number of runs, is left out.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from pipeline.metadata.history import History
from pipeline.metadata.store import MetadataStore
from pipeline.runner import decide
from tests.benchmarks import measuring
from tests.benchmarks.record import RESULTS
from tests.pipeline.metadata import many_runs

COMMANDS = (["status"], ["runs"], ["lineage", "1"], ["diff", "run-0001", "last"], ["gc"])


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000, help="runs in each root")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    flags = parser.parse_args()
    figures = {}
    for name, every in (("every run ran", 1), ("all but the first were skipped", flags.runs)):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            many_runs.write(root, runs=flags.runs, every=every)
            (root / ".pipeline").write_text("test")
            figures[name] = {
                "megabytes": round((root / "metadata.sqlite").stat().st_size / 1e6, 1),
                "stage_s": max(_stage_s(root, stage, number=(flags.runs - 1) // every) for stage in many_runs.STAGES),
                "command_s": {" ".join(command[:1]): _command_s(root, command) for command in COMMANDS},
            }
    measuring.save(
        "metadata", {"runs": flags.runs, "load": round(os.getloadavg()[1], 1), "roots": figures}, results=flags.results
    )


def _stage_s(root: pathlib.Path, stage: str, *, number: int) -> float:
    """Returns the time that the metadata takes of a stage: what decides whether it runs, and what its executor gets."""
    store = MetadataStore(str(root / "metadata.sqlite"), pipeline="test", root=root, read_only=True)
    reads = store.executions(stage=many_runs.STAGES[0], newest=1)[0].outputs["output"]
    key = many_runs.key_of(stage, number, reads=reads)
    started = time.perf_counter()
    history = History(store, stage)
    decide.decide(key, code=many_runs.CODE, history=history)
    next(history.other_outputs("output", reads), None)
    history.last_that_ran(cache_key=key.digest)
    next(history.finished(), None)
    return round(time.perf_counter() - started, 4)


def _command_s(root: pathlib.Path, command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *command, "--root", str(root)], check=True, stdout=subprocess.DEVNULL
    )
    return round(time.perf_counter() - started, 2)


if __name__ == "__main__":
    main()
