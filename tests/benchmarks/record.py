"""Keeps what a run measured: `python -m tests.benchmarks.record runs/tiny` writes `results/tiny.json` here.

The figures in the README come from these files (`python -m tests.benchmarks.readme`), and from nowhere else.
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
    """What is worth keeping of a run's `report.json`: figures, no paths of this machine."""
    report = json.loads((root / "report.json").read_text())
    reused = [row["stage"] for row in report["stages"] if row["outcome"] != "ran"]
    if reused:
        raise SystemExit(f"{root} is no whole run, {', '.join(reused)} did not run in it: use a fresh --root.")
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
    """Processor, memory and versions."""
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(memory),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=pathlib.Path, help="root of a finished run")
    result = record(parser.parse_args().root)
    file = RESULTS / f"{result['preset']}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(result, indent=1) + "\n")
    print(file)


if __name__ == "__main__":
    main()
