"""Speed and memory of ingest: `python -m tests.benchmarks.ingest`.

Speed: 10-s clips at 44.1 kHz, stored as FLAC, are decoded, resampled to 16 kHz and written, on one core and on all
cores. A plain loop does the same on each core without Beam, shards, records and the decoder's separate process. The aim
is 0.9 of the loop's speed.

Memory: the peak of all processes together while 1 k, 10 k and 100 k clips of 1 s go through.

The list of clips names the same 64 files again and again under different ids.
"""

import argparse
import contextlib
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import soundfile

from beam_jobs import sources
from tests.benchmarks import measuring
from tests.benchmarks.record import RESULTS

SOURCE_RATE = 44100
CLIP_S, SMALL_CLIP_S = 10.0, 1.0
MEMORY_CLIPS = (1_000, 10_000, 100_000)


def main() -> None:
    """Runs the command, or one job in a process that the command started."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=3000, help="10-s clips per core for the speed; 320 kB each")
    parser.add_argument("--memory_clips", type=int, nargs="*", default=MEMORY_CLIPS, help="1-s clips; 32 kB each")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    parser.add_argument("--job", choices=JOBS, help=argparse.SUPPRESS)
    parser.add_argument("--source", type=pathlib.Path, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.job:
        JOBS[flags.job](flags.source, flags.clips)
        return
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        source, small = pathlib.Path(folder) / "source", pathlib.Path(folder) / "small"
        _write_source(source, seconds=CLIP_S)
        _write_source(small, seconds=SMALL_CLIP_S)
        figures = {
            "clip_s": CLIP_S,
            "source": f"FLAC, {SOURCE_RATE} Hz, mono",
            "bytes_per_source_clip": round(_mean_size(source)),
            "one_core": _speeds(source, clips=flags.clips, cores=cores[:1]),
            "all_cores": _speeds(source, clips=flags.clips, cores=cores),
            "peak_memory_mib": {str(count): _peak_mib(small, clips=count) for count in flags.memory_clips},
        }
    measuring.save("ingest", figures, results=flags.results)


def _speeds(source: pathlib.Path, *, clips: int, cores: list[int]) -> dict[str, float]:
    """Measures clips per second of the loop, run once on each core, and of the Beam job, run on all of them."""
    loops = [_start("loop", source, clips=clips, cores=[core]) for core in cores]
    loop = sum(clips / _seconds(process) for process in loops)
    beam = clips * len(cores) / _seconds(_start("beam", source, clips=clips * len(cores), cores=cores))
    return {
        "cores": len(cores),
        "loop_clips_per_s": round(loop, 1),
        "beam_clips_per_s": round(beam, 1),
        "beam_to_loop": round(beam / loop, 3),
    }


def _start(job: str, source: pathlib.Path, *, clips: int, cores: list[int]) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.benchmarks.ingest", "--job", job, "--source", source, "--clips", str(clips)]
    core_list = ",".join(map(str, cores))
    return subprocess.Popen(
        ["taskset", "--cpu-list", core_list, *command], stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def _seconds(process: subprocess.Popen) -> float:
    """Waits for a job and returns the time that it printed, which excludes its imports."""
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(process.returncode)
    return float(output.split()[-1])


def _peak_mib(source: pathlib.Path, *, clips: int) -> int:
    process = _start("beam", source, clips=clips, cores=sorted(os.sched_getaffinity(0)))
    peak = measuring.peak_of_session(process)
    _seconds(process)
    return peak


@contextlib.contextmanager
def _stopwatch() -> Iterator[None]:
    started = time.perf_counter()
    yield
    print(time.perf_counter() - started)


def _write_source(folder: pathlib.Path, *, seconds: float) -> None:
    folder.mkdir()
    for i, sound in enumerate(measuring.sounds(seconds=seconds, sample_rate=SOURCE_RATE)):
        soundfile.write(folder / f"{i}.flac", sound, SOURCE_RATE)


def _mean_size(folder: pathlib.Path) -> float:
    sizes = [path.stat().st_size for path in folder.iterdir()]
    return sum(sizes) / len(sizes)


def _list(source: pathlib.Path, count: int) -> list[sources.Clip]:
    files = itertools.cycle(sorted(path.name for path in source.iterdir()))
    return [sources.Clip(clip_id=f"clip{i}", path=next(files)) for i in range(count)]


def _loop(source: pathlib.Path, count: int) -> None:
    # Imported here because the parent process, which only waits, needs none of this.
    import tensorflow as tf

    from beam_jobs import audio, examples

    clips = _list(source, count)
    with tempfile.TemporaryDirectory() as folder, _stopwatch(), tf.io.TFRecordWriter(f"{folder}/clips") as writer:
        for clip in clips:
            samples = audio.decode_file(source / clip.path, sample_rate=measuring.SAMPLE_RATE)
            writer.write(examples.encode(audio=samples, clip_id=clip.clip_id, source=clip.path))


def _beam(source: pathlib.Path, count: int) -> None:
    # Imported here because the parent process needs none of this. TensorFlow comes first, outside the measured time.
    import tensorflow  # noqa: F401

    from beam_jobs import runners
    from beam_jobs.ingest.job import Job, write_shards
    from beam_jobs.ingest.plan import plan_shards

    clips = _list(source, count)
    with tempfile.TemporaryDirectory() as folder, _stopwatch():
        shards = plan_shards(clips, sample_rate=measuring.SAMPLE_RATE, workers=runners.workers())
        job = Job(source=str(source), label_names=(), sample_rate=measuring.SAMPLE_RATE)
        records = write_shards(shards, job=job, work_dir=folder)
    if sum(record.clips for record in records) != count:
        raise SystemExit("clips were quarantined")


JOBS: dict[str, Callable[[pathlib.Path, int], None]] = {"loop": _loop, "beam": _beam}


if __name__ == "__main__":
    main()
