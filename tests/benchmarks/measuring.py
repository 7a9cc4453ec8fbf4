"""What the benchmarks share: sounds, a corpus of examples, fresh processes, a stopwatch and the result files."""

import datetime
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from etils import epath

from tests.benchmarks.record import RESULTS, machine

SAMPLE_RATE = 16000
_DIFFERENT_SOUNDS = 64
_POLL_S = 0.2


def sounds(*, seconds: float, sample_rate: int = SAMPLE_RATE) -> list[np.ndarray]:
    """Generates 64 clips of the generated corpus, each int16 (samples,)."""
    # Imported here because only some benchmarks generate sounds.
    from components.synthetic_audio_gen import corpus

    return [
        corpus.generate("train", i, seed=0, seconds=seconds, sample_rate=sample_rate).audio
        for i in range(_DIFFERENT_SOUNDS)
    ]


def write_examples(
    folder: pathlib.Path, *, sounds: Sequence[np.ndarray], clips: int, files: int = 16, storage: str = "pcm"
) -> epath.Path:
    """Writes a folder of examples with one split, train.

    The sounds repeat, but every clip is stored as bytes of its own.

    Args:
        folder: The folder to create.
        sounds: int16 (samples,) each.
        clips: Number of clips; every file gets `clips // files` of them.
        files: Number of files.
        storage: "pcm" or "flac".
    """
    # Imported here because the parent process of a benchmark needs no TensorFlow.
    import tensorflow as tf

    from beam_jobs import examples

    folder.mkdir(parents=True)
    endless_sounds = itertools.cycle(sounds)
    clips_per_file = clips // files
    for shard in range(files):
        name = examples.file_name("train", shard=shard, shards=files)
        with tf.io.TFRecordWriter(str(folder / name)) as writer:
            for i in range(clips_per_file):
                writer.write(examples.encode(audio=next(endless_sounds), clip_id=f"{shard}-{i}", storage=storage))
    examples.write_metadata(
        folder,
        shard_lengths={"train": [clips_per_file] * files},
        shard_bytes={"train": sum(path.stat().st_size for path in folder.glob("*.tfrecord*"))},
        label_names=(),
        sample_rate=SAMPLE_RATE,
        has_folds=False,
        description="benchmark",
        storage=storage,
    )
    return epath.Path(folder)


def in_a_fresh_process(module: str, *arguments: object, **environment: str) -> dict:
    """Runs `python -m MODULE ARGUMENTS` and returns the JSON in the last line of its output.

    Args:
        module: The module to run.
        *arguments: Its command line.
        **environment: Variables to set in addition to those of this process.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    environment = {**os.environ, **environment}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def peak_kib() -> int:
    """Returns the peak resident memory of this process so far, in KiB. Linux only."""
    return memory_kib("VmHWM")


def memory_kib(field: str) -> int:
    """Returns a field of this process' status, e.g. VmRSS, its resident memory, in KiB. Linux only."""
    return int(re.search(rf"{field}:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1])


def peak_of_session(process: subprocess.Popen) -> int:
    """Waits for a process, and returns the peak memory in MiB of all processes of its session together.

    Args:
        process: It was started with `start_new_session=True`.
    """
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(_resident_bytes(process.pid)))
        time.sleep(_POLL_S)
    return round(peak / 2**20)


def _resident_bytes(session: int) -> Iterator[int]:
    """Yields the memory of each process in a session, from Linux' /proc; shared pages count in every process."""
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = pathlib.Path("/proc", process, "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                yield int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
        except (FileNotFoundError, ProcessLookupError):  # the process has ended since the listing
            continue


def rate(batches: Iterable, *, clips_each: int, seconds: float, warm_up: int = 8) -> float:
    """Returns how many clips per second an endless iterable of batches gives.

    Args:
        batches: What to read from.
        clips_each: Clips in a batch.
        seconds: Length of the measurement.
        warm_up: Batches to read before the measurement starts.
    """
    iterator = iter(batches)
    for _ in range(warm_up):
        next(iterator)
    started, clips = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        next(iterator)
        clips += clips_each
    return round(clips / (time.perf_counter() - started), 1)


def save(name: str, figures: Mapping[str, object], *, results: pathlib.Path = RESULTS) -> None:
    """Writes `results/NAME.json` with the figures, the date and the machine, and prints it."""
    document = {"date": datetime.date.today().isoformat(), "machine": machine(), **figures}
    text = json.dumps(document, indent=1)
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{name}.json").write_text(text + "\n")
    print(text)
