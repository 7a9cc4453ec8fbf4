"""PCM and FLAC side by side, in size and in speed: `python -m tests.benchmarks.storage`.

For each storage the same clips: bytes a clip, clips a second written, read as whole clips, read as two crops of 3 s by
the training's input pipeline, and read by TFDS, which decodes FLAC with tensorflow-io. `--audio` takes the sounds from
a folder of files in place of the generated clips of 10 s: how much FLAC saves depends on them.
"""

import argparse
import pathlib
import tempfile
import time

import keras
import numpy as np

from beam_jobs import audio, examples
from tests.benchmarks import measuring, reading
from tests.benchmarks.record import RESULTS


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement of reading")
    parser.add_argument("--audio", type=pathlib.Path, help="folder of audio files; none for generated sounds")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    flags = parser.parse_args()
    keras.utils.set_random_seed(1)  # as the trainer does
    sounds = _decoded(flags.audio) if flags.audio else measuring.sounds(seconds=10.0)
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for storage in examples.STORAGES:
            figures[storage] = _measure(
                pathlib.Path(folder) / storage, sounds, storage=storage, clips=flags.clips, seconds=flags.seconds
            )
    figures["flac_share_of_pcm"] = round(figures["flac"]["bytes_per_clip"] / figures["pcm"]["bytes_per_clip"], 3)
    sources = flags.audio.name if flags.audio else "generated corpus"
    measuring.save("storage", {"sounds": sources, "clips": flags.clips, **figures}, results=flags.results)


def _measure(folder: pathlib.Path, sounds: list[np.ndarray], *, storage: str, clips: int, seconds: float) -> dict:
    began = time.perf_counter()
    corpus = measuring.write_examples(folder, sounds=sounds, clips=clips, storage=storage)
    written = clips / (time.perf_counter() - began)
    size = sum(path.stat().st_size for path in folder.glob("*.tfrecord*"))
    return {
        "bytes_per_clip": round(size / clips),
        "written_clips_per_s": round(written, 1),
        "whole_clips_per_s": _rate(examples.dataset(corpus, "train").repeat(), seconds=seconds),
        "crop_pairs_per_s": measuring.rate(reading.batches(corpus), clips_each=reading.BATCH, seconds=seconds),
        "tfds_clips_per_s": _rate(_tfds(corpus), seconds=seconds),
    }


def _rate(clips, *, seconds: float) -> float:
    return measuring.rate(clips, clips_each=1, seconds=seconds, warm_up=64)


def _tfds(corpus):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(corpus))
    return builder.as_dataset(split="train", read_config=tfds.ReadConfig(try_autocache=False)).repeat()


def _decoded(folder: pathlib.Path) -> list[np.ndarray]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())[:64]
    return [audio.decode_file(path, sample_rate=measuring.SAMPLE_RATE) for path in files]


if __name__ == "__main__":
    main()
