"""What all of AudioSet costs on Dataflow, from what was measured here: `python -m tests.benchmarks.cost`.

Fills the marked block of `deploy/dataflow/README.md` from `results/ingest.json` and, for FLAC, `results/storage.json`.
"""

import json
import pathlib
import re

from beam_jobs.ingest.plan import SHARD_BYTES
from tests.benchmarks.measuring import SAMPLE_RATE
from tests.benchmarks.record import RESULTS

PAGE = pathlib.Path(__file__).parents[2] / "deploy" / "dataflow" / "README.md"
MARKED = re.compile(r"(<!-- cost -->\n).*?(<!-- /cost -->)", re.DOTALL)
CLIPS, CLIP_S = 2_084_320, 10  # unbalanced train, balanced train and eval, as listed
WORKERS, VCPUS_A_WORKER, START_S = 64, 4, 300


def fill(page: str, *, results: pathlib.Path = RESULTS) -> str:
    """The page with its block rendered anew, or as it is while nothing was measured."""
    if not (results / "ingest.json").exists():
        return page
    measured = json.loads((results / "ingest.json").read_text())
    storage = results / "storage.json"
    stored = json.loads(storage.read_text()) if storage.exists() else None
    return MARKED.sub(lambda match: match[1] + render(measured, stored=stored) + match[2], page)


def render(measured: dict, *, stored: dict | None) -> str:
    """The numbers with their formulas, and what they rest on, as Markdown."""
    cores, clips_per_s = measured["all_cores"]["cores"], measured["all_cores"]["beam_clips_per_s"]
    rate = clips_per_s / cores
    work = CLIPS / rate / 3600
    start = WORKERS * VCPUS_A_WORKER * START_S / 3600
    wall = CLIPS / (rate * WORKERS * VCPUS_A_WORKER) / 3600 + START_S / 3600
    pcm = CLIPS * CLIP_S * SAMPLE_RATE * 2
    read = CLIPS * measured["bytes_per_source_clip"]
    rows = [
        ("clips", "N", f"{CLIPS:,}"),
        ("measured rate a core", f"r = {clips_per_s:g} / {cores}", f"{rate:.1f} clips/s"),
        ("decoding and writing", "N / r / 3600", f"{work:,.1f} vCPU-hours"),
        ("starting the workers", f"{WORKERS} · {VCPUS_A_WORKER} · {START_S} s / 3600", f"{start:,.1f} vCPU-hours"),
        ("together", "", f"**{work + start:,.0f} vCPU-hours**"),
        ("time", f"N / (r · {WORKERS} · {VCPUS_A_WORKER}) + {START_S} s", f"{60 * wall:,.0f} min"),
        ("read", f"N · {measured['bytes_per_source_clip']:,} B", f"{read / 1e9:,.0f} GB"),
        ("written, PCM", f"N · {CLIP_S} s · {SAMPLE_RATE:,} Hz · 2 B", f"**{pcm / 1e9:,.0f} GB**"),
    ]
    if stored:
        share = stored["flac_share_of_pcm"]
        rows.append(("written, FLAC", f"PCM · {share:g}", f"{share * pcm / 1e9:,.0f} GB"))
    rows.append(("files", f"PCM / {SHARD_BYTES // 2**20} MiB", f"{pcm / SHARD_BYTES:,.0f}"))
    machine = measured["machine"]
    lines = [
        f"Measured on {machine['cores']} cores ({machine['cpu']}), {measured['date']}: "
        f"clips of {CLIP_S} s, {measured['source']}.",
        "",
        "| | formula | |",
        "|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        _speed(measured),
    ]
    if stored:
        lines += ["", *_storages(stored)]
    return "\n".join(lines) + "\n"


def _speed(measured: dict) -> str:
    one, every = measured["one_core"], measured["all_cores"]
    peaks = [f"{mib:,} MiB with {int(clips):,} clips" for clips, mib in measured["peak_memory_mib"].items()]
    return (
        f"Of a plain loop of the same decoding, resampling and writing, the job reaches {one['beam_to_loop']:.2f} of "
        f"the speed on one core and {every['beam_to_loop']:.2f} on {every['cores']}, its start included; the rest is "
        "the decoder in a process of its own, the checksums and Beam. Peak memory of all its processes: "
        f"{', '.join(peaks)}."
    )


def _storages(stored: dict) -> list[str]:
    header = ("10-s clips, of " + stored["sounds"], "B a clip", "written", "read whole", "read as two crops", "by TFDS")
    keys = ("written_clips_per_s", "whole_clips_per_s", "crop_pairs_per_s", "tfds_clips_per_s")
    rows = [
        (name.upper(), f"{stored[name]['bytes_per_clip']:,}", *(f"{stored[name][key]:,.0f}/s" for key in keys))
        for name in ("pcm", "flac")
    ]
    return [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)]


def main() -> None:
    """The command."""
    PAGE.write_text(fill(PAGE.read_text()))
    print(PAGE)


if __name__ == "__main__":
    main()
