"""What ingesting all of AudioSet costs on Dataflow, worked out from the results of `ingest` and `storage`."""

from beam_jobs.ingest.plan import SHARD_BYTES
from tests.benchmarks import tables
from tests.benchmarks.measuring import SAMPLE_RATE

CLIPS, CLIP_S = 2_084_320, 10  # the lists of unbalanced train, balanced train and eval together
WORKERS, VCPUS_PER_WORKER, START_S = 8, 4, 300  # as deploy/dataflow/launch.sh


def render(measured: dict, *, stored: dict) -> str:
    """Renders the figures with their formulas, and the measurements behind them, as Markdown.

    Args:
        measured: The result of `ingest`.
        stored: The result of `storage`.
    """
    machine = measured["machine"]
    return "\n".join(
        [
            f"Measured on {machine['cores']} cores ({machine['cpu']}), {measured['date']}: "
            f"clips of {CLIP_S} s, {measured['source']}.\n",
            _estimate(measured, flac_share=stored["flac_share_of_pcm"]),
            _speed(measured),
            _storages(stored),
        ]
    )


def _estimate(measured: dict, *, flac_share: float) -> str:
    cores, clips_per_s = measured["all_cores"]["cores"], measured["all_cores"]["beam_clips_per_s"]
    source_bytes = measured["bytes_per_source_clip"]
    rate = clips_per_s / cores
    vcpus = WORKERS * VCPUS_PER_WORKER
    work_h = CLIPS / rate / 3600
    start_h = vcpus * START_S / 3600
    wall_h = CLIPS / (rate * vcpus) / 3600 + START_S / 3600
    pcm = CLIPS * CLIP_S * SAMPLE_RATE * 2
    rows = [
        ["clips", "N", f"{CLIPS:,}"],
        ["measured rate per core", f"r = {clips_per_s:g} / {cores}", f"{rate:.1f} clips/s"],
        ["decoding and writing", "N / r / 3600", f"{work_h:,.1f} vCPU-hours"],
        ["starting the workers", f"{WORKERS} · {VCPUS_PER_WORKER} · {START_S} s / 3600", f"{start_h:,.1f} vCPU-hours"],
        ["together", "", f"**{work_h + start_h:,.0f} vCPU-hours**"],
        ["time", f"N / (r · {WORKERS} · {VCPUS_PER_WORKER}) + {START_S} s", f"{60 * wall_h:,.0f} min"],
        ["read", f"N · {source_bytes:,} B", f"{CLIPS * source_bytes / 1e9:,.0f} GB"],
        ["written, PCM", f"N · {CLIP_S} s · {SAMPLE_RATE:,} Hz · 2 B", f"**{pcm / 1e9:,.0f} GB**"],
        ["written, FLAC", f"PCM · {flac_share:g}", f"{flac_share * pcm / 1e9:,.0f} GB"],
        ["files", f"PCM / {SHARD_BYTES // 2**20} MiB", f"{pcm / SHARD_BYTES:,.0f}"],
    ]
    return tables.table(["", "formula", ""], rows)


def _speed(measured: dict) -> str:
    one_core, all_cores = measured["one_core"], measured["all_cores"]
    peaks = [f"{mib:,} MiB with {int(clips):,} clips" for clips, mib in measured["peak_memory_mib"].items()]
    return tables.paragraph(
        f"Compared with a plain loop of the same decoding, resampling and writing, the job reaches "
        f"{one_core['beam_to_loop']:.2f} of the speed on one core and {all_cores['beam_to_loop']:.2f} on "
        f"{all_cores['cores']}, including its start. The rest goes to the decoder's separate process, the checksums "
        f"and Beam. The peak memory of all its processes is {', '.join(peaks)}."
    )


def _storages(stored: dict) -> str:
    header = [
        f"10-s clips of the {stored['sounds']}",
        "bytes per clip",
        "written",
        "read whole",
        "read as two crops",
        "read by TFDS",
    ]
    rates = ("written_clips_per_s", "whole_clips_per_s", "crop_pairs_per_s", "tfds_clips_per_s")
    rows = []
    for name in ("pcm", "flac"):
        figures = stored[name]
        rows.append([name.upper(), f"{figures['bytes_per_clip']:,}", *(f"{figures[key]:,.0f}/s" for key in rates)])
    return tables.table(header, rows)
