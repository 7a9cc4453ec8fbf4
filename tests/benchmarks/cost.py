"""The speed of ingest, from the results of `ingest` and `storage`, and the size of AudioSet and of the job for it."""

from tests.benchmarks import tables

CLIPS, CLIP_S = 2_084_320, 10  # the lists of unbalanced train, balanced train and eval together
WORKERS, VCPUS_PER_WORKER, START_S = 8, 4, 300  # as deploy/dataflow/launch.sh


def render(measured: dict, *, stored: dict) -> str:
    """Renders the speed of ingest, the time that AudioSet takes at it, and PCM against FLAC, as Markdown.

    Args:
        measured: The result of `ingest`.
        stored: The result of `storage`.
    """
    return _speed(measured) + "\n" + _storages(stored)


def _speed(measured: dict) -> str:
    machine, one_core, all_cores = measured["machine"], measured["one_core"], measured["all_cores"]
    peaks = [f"{mib:,} MiB with {int(clips):,} clips" for clips, mib in measured["peak_memory_mib"].items()]
    rate = all_cores["beam_clips_per_s"] / all_cores["cores"]
    minutes = (CLIPS / (rate * WORKERS * VCPUS_PER_WORKER) + START_S) / 60
    speed = tables.paragraph(
        f"The job decodes and writes **{rate:.1f} clips a second on each core**: clips of {CLIP_S} s, "
        f"{measured['source']}, on {machine['cores']} cores ({machine['cpu']}), {measured['date']}. At this speed "
        f"{WORKERS} workers of {VCPUS_PER_WORKER} vCPUs take {minutes:.0f} min for {CLIPS:,} clips, "
        f"{START_S / 60:.0f} min of it to start."
    )
    rest = tables.paragraph(
        f"Compared with a plain loop of the same decoding, resampling and writing, the job reaches "
        f"{one_core['beam_to_loop']:.2f} of the speed on one core and {all_cores['beam_to_loop']:.2f} on "
        f"{all_cores['cores']}, including its start. The rest goes to the decoder's separate process, the checksums "
        f"and Beam. The peak memory of all its processes is {', '.join(peaks)}."
    )
    return speed + "\n" + rest


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
