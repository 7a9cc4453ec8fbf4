"""Speed and memory of `diptych embed`: `python -m tests.benchmarks.embedding`.

For the encoders of each preset it measures windows per second

* of the encoders alone, with full batches in a loop: the peak,
* of `embed` over a folder of equal clips, and over one of mixed lengths and codecs,
* of the same encoders called file by file.

Each is measured between two measurements of the peak, because the speed of a machine changes while others use it. The
share of the peak in processor time hardly changes then, but leaves out what waits. The peak memory is that of all
processes of the command, over the number of files. `embed_memory` has it over their length.
"""

import argparse
import dataclasses
import itertools
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import soundfile

from tests import corpora
from tests.benchmarks import measuring
from tests.benchmarks.record import RESULTS

PRESETS = ("tiny", "small", "base")
FILES = (1_000, 10_000, 100_000)
EQUAL_SECONDS = 10.0
MIXED_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
SOURCE_RATE = 44100
_MODULE = "tests.benchmarks.embedding"
_FEWEST_CLIPS = 24


def main() -> None:
    """Runs the command, or what it starts in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="*", default=PRESETS, help="encoders to measure")
    parser.add_argument("--files", type=int, nargs="*", default=FILES, help="numbers of files for the memory")
    parser.add_argument("--seconds", type=float, default=40.0, help="about how long each measurement takes")
    parser.add_argument("--rounds", type=int, default=3, help="how often to measure; the median counts")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--export", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.measure:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(_speeds(pathlib.Path(folder), flags.measure, seconds=flags.seconds, rounds=flags.rounds)))
    elif flags.export:
        _export(pathlib.Path(flags.export), width=1 / 32, crop_seconds=1.0)
    else:
        settings = ("--seconds", flags.seconds, "--rounds", flags.rounds)
        speeds = {
            preset: measuring.in_a_fresh_process(_MODULE, "--measure", preset, *settings) for preset in flags.presets
        }
        with tempfile.TemporaryDirectory() as folder:
            memory = _memory(pathlib.Path(folder), flags.files)
        figures = {
            "equal": f"WAV of {EQUAL_SECONDS:g} s, 16,000 Hz, mono",
            "mixed": f"{', '.join(corpora.FORMATS)} of {MIXED_SECONDS[0]:g} to {MIXED_SECONDS[-1]:g} s",
            "presets": speeds,
            "memory": memory,
        }
        measuring.save("embedding", figures, results=flags.results)


def _speeds(folder: pathlib.Path, preset: str, *, seconds: float, rounds: int) -> dict[str, object]:
    """Measures one pair of encoders. The figures are medians over the rounds."""
    # Imported here because the parent process needs no TensorFlow.
    import tensorflow as tf

    from pipeline.configs import presets
    from pipeline.serving.embedding.exported_model import ExportedModel

    config = presets.config(preset).trainer.model
    _export(folder / "model", **config.model_dump())
    loader = ExportedModel(str(folder / "model"))
    loaded = _Counted(loader.load())
    signature = tf.saved_model.load(loader.folder).signatures["serving_default"]
    peaks = [_peak(loaded, seconds=seconds / 8) for _ in range(2)]  # The first one warms up.
    in_equal = len(loaded.framing.starts(int(EQUAL_SECONDS * loaded.framing.sample_rate)))
    clips = max(_FEWEST_CLIPS, round(seconds * peaks[-1].per_s / in_equal))
    _write_equal(folder / "equal", clips)
    _write_mixed(folder / "mixed", clips)
    ways: dict[str, Callable[[], tuple[int, float]]] = {
        "equal": lambda: _embed(_Loaded(loader, loaded), folder / "equal", folder / "x.npz"),
        "mixed": lambda: _embed(_Loaded(loader, loaded), folder / "mixed", folder / "x.npz"),
        "file_by_file": lambda: _file_by_file(signature, folder / "equal", seconds=seconds),
    }
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    before = peaks[-1]
    for _ in range(rounds):
        for name, way in ways.items():
            loaded.windows, started, processor_s = 0, time.perf_counter(), _processor_s()
            files, sound_s = way()
            took, processor_s = time.perf_counter() - started, _processor_s() - processor_s
            windows = loaded.windows or files * in_equal
            after = _peak(loaded, seconds=seconds / 8)
            row = {"clips_per_s": files / took, "real_time": sound_s / took}
            row["share"] = windows / took / statistics.mean([before.per_s, after.per_s])
            row["processor_share"] = statistics.mean([before.processor_s, after.processor_s]) * windows / processor_s
            measured[name].append(row)
            peaks.append(after)
            before = after
    return {
        "peak_windows_per_s": round(statistics.median(peak.per_s for peak in peaks[1:]), 2),
        "window_s": loaded.framing.window_samples / loaded.framing.sample_rate,
        "clips": clips,
        **{name: _median(rows) for name, rows in measured.items()},
    }


def _median(rows: list[dict[str, float]]) -> dict[str, object]:
    figures = {name: round(statistics.median(row[name] for row in rows), 3) for name in rows[0]}
    return {**figures, "shares": [round(row["share"], 3) for row in rows]}


class _Counted:
    """An embedder that counts its windows."""

    def __init__(self, embedder: object):
        self._embedder = embedder
        self.framing, self.dims = embedder.framing, embedder.dims
        self.windows = 0

    def embed(self, windows: np.ndarray) -> Mapping[str, np.ndarray]:
        self.windows += len(windows)
        return self._embedder.embed(windows)


@dataclasses.dataclass(frozen=True)
class _Loaded:
    """A loader of what is loaded already, because a command loads its model once for any number of files."""

    loader: object
    embedder: _Counted
    name: str = "trained"

    def load(self) -> _Counted:
        return self.embedder

    def digest(self) -> str:
        return self.loader.digest()


class _NoProgress:
    def update(self, done: int, *, total: int, unit: str, **figures: float | int | str) -> None:
        """Shows nothing."""


class _Peak(NamedTuple):
    """The speed of full batches: windows per second, and processor time of a window in seconds."""

    per_s: float
    processor_s: float


def _peak(embedder: _Counted, *, seconds: float) -> _Peak:
    # Imported here for the same reason as above.
    from beam_jobs.embedding.embedder import BATCH_SIZE

    noise = np.random.default_rng(0).normal(size=(BATCH_SIZE, embedder.framing.window_samples)).astype(np.float32) / 8
    embedder.embed(noise)
    started, processor_s, windows = time.perf_counter(), _processor_s(), 0
    while (took := time.perf_counter() - started) < seconds or not windows:
        embedder.embed(noise)
        windows += BATCH_SIZE
    return _Peak(per_s=windows / took, processor_s=(_processor_s() - processor_s) / windows)


def _processor_s() -> float:
    """Returns the processor time of this process and of those that it has ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _embed(loader: _Loaded, folder: pathlib.Path, output: pathlib.Path) -> tuple[int, float]:
    """Embeds a folder, and returns the number of files and the length of their sound in seconds."""
    # Imported here for the same reason as above.
    from pipeline.serving.embedding import embed

    done = embed.embed(loader, [str(folder)], output=str(output), row="clip", restart=True, progress=_NoProgress())
    if done.quarantined:
        raise SystemExit(done.quarantined[0].sentence)
    with np.load(output) as rows:
        return done.clips, float(rows["end_s"].sum())


def _file_by_file(signature: Callable[..., object], folder: pathlib.Path, *, seconds: float) -> tuple[int, float]:
    """Decodes and embeds one file after the other for some time. See `_embed` for what is returned."""
    # Imported here for the same reason as above.
    import tensorflow as tf

    from beam_jobs import audio
    from beam_jobs.audio import decoder, pcm, spool

    rules = audio.Rules()
    files, samples, started = 0, 0, time.perf_counter()
    decoding = decoder.Decoder(sample_rate=measuring.SAMPLE_RATE, rules=rules)
    for path in sorted(folder.iterdir()):
        with spool.Spool() as sound:
            decoding.decode_file(str(path), sound)
            signature(audio=tf.constant(pcm.to_float(sound.read(0, len(sound)))[None]))
            files, samples = files + 1, samples + len(sound)
        if time.perf_counter() - started > seconds:
            break
    decoding.close()
    return files, samples / measuring.SAMPLE_RATE


def _write_equal(folder: pathlib.Path, clips: int) -> None:
    folder.mkdir()
    sounds = itertools.cycle(measuring.sounds(seconds=EQUAL_SECONDS))
    for number, sound in zip(range(clips), sounds, strict=False):
        soundfile.write(folder / f"{number:05d}.wav", sound, measuring.SAMPLE_RATE)


def _write_mixed(folder: pathlib.Path, clips: int) -> None:
    """Writes files of all formats and lengths, most of them in stereo at the rate of a CD."""
    folder.mkdir()
    sounds = measuring.sounds(seconds=MIXED_SECONDS[-1], sample_rate=SOURCE_RATE)
    for number, (suffix, seconds) in zip(range(clips), _mixture(), strict=False):
        path = folder / f"{number:05d}.{suffix}"
        if suffix in ("wav", "flac", "ogg", "mp3"):
            sound = sounds[number % len(sounds)][: int(seconds * SOURCE_RATE)]
            soundfile.write(path, np.stack([sound, sound // 2], axis=1), SOURCE_RATE)
        else:
            corpora.write_format(path, seconds=seconds)


def _mixture() -> Iterator[tuple[str, float]]:
    """Yields formats and lengths; each format gets each length equally often."""
    yield from itertools.cycle(itertools.product(corpora.FORMATS, MIXED_SECONDS))


def _memory(folder: pathlib.Path, numbers: list[int]) -> dict[str, dict[str, int]]:
    """Returns the peak memory of the command and its time, by number of files of 1 s."""
    subprocess.run([sys.executable, "-m", _MODULE, "--export", folder / "model"], check=True)
    sound = (9000 * corpora.tone(seconds=1.0)).astype(np.int16)
    measured = {}
    for number in numbers:
        sounds = folder / "sounds"
        for i in range(number):
            path = sounds / f"{i // 1000:03d}" / f"{i:06d}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, sound, measuring.SAMPLE_RATE)
        command = ["-m", "pipeline.cli", "embed", "--model", folder / "model", "--output", folder / "x.parquet", sounds]
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        peak_mib = measuring.peak_of_session(process)
        if process.returncode:
            raise SystemExit(process.returncode)
        measured[str(number)] = {"peak_mib": peak_mib, "seconds": round(time.perf_counter() - started)}
        shutil.rmtree(sounds)
    return measured


def _export(folder: pathlib.Path, **fields: object) -> None:
    # Imported here for the same reason as above.
    import keras

    from components.exporter import saved_model
    from models import dual
    from models.config import ModelConfig

    keras.utils.set_random_seed(0)
    saved_model.export(dual.DualEncoder(ModelConfig(**fields)), folder)


if __name__ == "__main__":
    main()
