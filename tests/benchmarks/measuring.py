"""What the benchmarks share: a corpus of examples, a stopwatch and the result files."""

import datetime
import itertools
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from etils import epath

from tests.benchmarks.record import RESULTS, machine

SAMPLE_RATE = 16000
_DIFFERENT_SOUNDS = 64


def sounds(*, seconds: float, sample_rate: int = SAMPLE_RATE) -> list[np.ndarray]:
    """Clips of the generated corpus, int16 (samples,)."""
    from components.synthetic_audio_gen import corpus

    return [
        corpus.generate("train", i, seed=0, seconds=seconds, sample_rate=sample_rate).audio
        for i in range(_DIFFERENT_SOUNDS)
    ]


def write_examples(
    folder: pathlib.Path, *, sounds: Sequence[np.ndarray], clips: int, files: int = 16, storage: str = "pcm"
) -> epath.Path:
    """An examples folder with `clips` clips in its train split; the sounds repeat, the bytes on disk do not."""
    import tensorflow as tf

    from beam_jobs import examples

    folder.mkdir(parents=True)
    different = itertools.cycle(sounds)
    lengths = [clips // files] * files
    for shard, count in enumerate(lengths):
        with tf.io.TFRecordWriter(str(folder / examples.file_name("train", shard=shard, shards=files))) as writer:
            for i, audio in zip(range(count), different, strict=False):
                writer.write(examples.encode(audio=audio, clip_id=f"{shard}-{i}", storage=storage))
    examples.write_metadata(
        folder,
        shard_lengths={"train": lengths},
        shard_bytes={"train": sum(path.stat().st_size for path in folder.glob("*.tfrecord*"))},
        label_names=(),
        sample_rate=SAMPLE_RATE,
        has_folds=False,
        description="benchmark",
        storage=storage,
    )
    return epath.Path(folder)


def in_a_fresh_process(module: str, *arguments: object, **environment: str) -> dict:
    """What `python -m MODULE ARGUMENTS` prints last, which is JSON; `environment` adds to that of this process."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    environment = {**os.environ, **environment}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def rate(batches: Iterable, *, clips_each: int, seconds: float, warm_up: int = 8) -> float:
    """Clips a second that an endless iterable gives, after some batches that do not count."""
    iterator = iter(batches)
    for _ in range(warm_up):
        next(iterator)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        next(iterator)
        count += clips_each
    return round(count / (time.perf_counter() - began), 1)


def save(name: str, figures: Mapping[str, object], *, results: pathlib.Path = RESULTS) -> None:
    """Writes `results/NAME.json` and prints it."""
    document = {"date": datetime.date.today().isoformat(), "machine": machine(), **figures}
    text = json.dumps(document, indent=1)
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{name}.json").write_text(text + "\n")
    print(text)
