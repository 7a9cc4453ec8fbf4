"""Size and speed of PCM and of FLAC storage: `python -m tests.benchmarks.storage`.

Stores the same clips in both ways, and measures the bytes per clip and the clips per second when they are written, read
as whole clips, read as two crops of 3 s by the training's input pipeline, and read by TFDS, which decodes FLAC with
tensorflow-io. The size of FLAC depends on the sounds: `--audio` takes them from a folder of files instead of
generating clips of 10 s.
"""

import argparse
import pathlib
import tempfile
import time
from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from etils import epath

from beam_jobs import audio, examples
from tests.benchmarks import measuring, reading
from tests.benchmarks.record import RESULTS

_MOST_FILES = 64


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=1024, help="number of clips (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each measurement of reading")
    parser.add_argument("--audio", type=pathlib.Path, help="folder of audio files (default: generated sounds)")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    flags = parser.parse_args()
    keras.utils.set_random_seed(1)  # like the trainer
    if flags.audio:
        sounds, name = _decode(flags.audio), flags.audio.name
    else:
        sounds, name = measuring.sounds(seconds=10.0), "generated corpus"
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for storage in examples.STORAGES:
            figures[storage] = _measure(
                pathlib.Path(folder) / storage, sounds, storage=storage, clips=flags.clips, seconds=flags.seconds
            )
    figures["flac_share_of_pcm"] = round(figures["flac"]["bytes_per_clip"] / figures["pcm"]["bytes_per_clip"], 3)
    measuring.save("storage", {"sounds": name, "clips": flags.clips, **figures}, results=flags.results)


def _measure(folder: pathlib.Path, sounds: list[np.ndarray], *, storage: str, clips: int, seconds: float) -> dict:
    started = time.perf_counter()
    corpus = measuring.write_examples(folder, sounds=sounds, clips=clips, storage=storage)
    written = clips / (time.perf_counter() - started)
    size = sum(path.stat().st_size for path in folder.glob("*.tfrecord*"))
    return {
        "bytes_per_clip": round(size / clips),
        "written_clips_per_s": round(written, 1),
        "whole_clips_per_s": _rate(examples.dataset(corpus, "train").repeat(), seconds=seconds),
        "crop_pairs_per_s": measuring.rate(reading.batches(corpus), clips_each=reading.BATCH, seconds=seconds),
        "tfds_clips_per_s": _rate(_read_by_tfds(corpus), seconds=seconds),
    }


def _rate(clips: Iterable, *, seconds: float) -> float:
    return measuring.rate(clips, clips_each=1, seconds=seconds, warm_up=64)


def _read_by_tfds(corpus: epath.Path) -> tf.data.Dataset:
    builder = tfds.builder_from_directory(str(corpus))
    return builder.as_dataset(split="train", read_config=tfds.ReadConfig(try_autocache=False)).repeat()


def _decode(folder: pathlib.Path) -> list[np.ndarray]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [audio.decode_file(path, sample_rate=measuring.SAMPLE_RATE) for path in files[:_MOST_FILES]]


if __name__ == "__main__":
    main()
