"""Keeps the figures of a finished run: `python -m tests.benchmarks.record runs/tiny` writes `results/tiny.json`.

`python -m tests.benchmarks.docs` then puts them into the documentation, whose figures come from nowhere else.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform

RESULTS = pathlib.Path(__file__).parent / "results"
PACKAGES = ("tensorflow", "keras", "apache-beam")


def record(root: pathlib.Path) -> dict:
    """Returns the figures of a run's `report.json`, without the paths of this machine.

    Args:
        root: Root of a run in which every stage ran.

    Raises:
        SystemExit: a stage was skipped, so the times are not those of a whole run.
    """
    report = json.loads((root / "report.json").read_text())
    skipped = [row["stage"] for row in report["stages"] if row["outcome"] != "ran"]
    if skipped:
        raise SystemExit(f"{root} is not a whole run, because {', '.join(skipped)} did not run: use a fresh --root.")
    stages = [{key: row[key] for key in ("stage", "seconds", "summary", "figures")} for row in report["stages"]]
    return {
        "preset": report["preset"],
        "date": report["started"][:10],
        "machine": machine(),
        "seconds": round(sum(row["seconds"] for row in stages)),
        "stages": stages,
        "evaluation": report["evaluation"],
    }


def machine() -> dict[str, object]:
    """Returns the processor, its cores that this process may use, the memory and the versions of the main packages."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(memory),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _cpu() -> str:
    info = pathlib.Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.machine()


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=pathlib.Path, help="root of a finished run")
    result = record(parser.parse_args().root)
    file = RESULTS / f"{result['preset']}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(result, indent=1) + "\n")
    print(file)


if __name__ == "__main__":
    main()
