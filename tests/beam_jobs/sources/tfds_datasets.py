"""Writes tiny TFDS datasets with audio, by TFDS itself."""

import io

import numpy as np
import soundfile
import tensorflow_datasets as tfds

SAMPLE_RATE = 16000
CLASSES = ["yes", "no", "_silence_"]
PER_FILE = 40


def noise(number, *, size=None, channels=1):
    """Returns int16 noise that is different for every number, as long as `size` or else as the number decides."""
    size = 300 + 7 * number if size is None else size
    shape = size if channels == 1 else (size, channels)
    return np.random.default_rng(number).integers(-(2**15), 2**15, shape).astype(np.int16)


def flac(samples, *, rate=SAMPLE_RATE):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="FLAC")
    return file.getvalue()


def write(folder, splits, **features):
    """Writes a TFDS dataset with TFDS' own writer, up to `PER_FILE` records to a file.

    Args:
        folder: The new folder of the dataset.
        splits: Split -> records.
        features: The features of a record.
    """
    folder.mkdir(parents=True)
    identity = tfds.core.dataset_info.DatasetIdentity(
        name="tiny", version=tfds.core.Version("1.0.0"), data_dir=str(folder), module_name=""
    )
    info = tfds.core.DatasetInfo(builder=identity, features=tfds.features.FeaturesDict(features))
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=PER_FILE)
    writer.initialize_splits(list(splits))
    writer.add_examples(splits)
    writer.close_all()
    return folder


def speech_commands(folder, *, counts, dtype=np.int64):
    """Writes `counts` records of noise to each split, as TFDS' speech_commands stores its audio: as samples."""
    records = {
        split: [{"audio": noise(i).astype(dtype), "label": i % 3} for i in range(count)]
        for split, count in counts.items()
    }
    audio_feature = tfds.features.Audio(sample_rate=SAMPLE_RATE, dtype=dtype)
    return write(folder, records, audio=audio_feature, label=tfds.features.ClassLabel(names=CLASSES))


def lazy_flac(folder, sounds, *, channels=1):
    """Writes FLAC files as records that TFDS decodes lazily, with several classes and a file name each."""
    records = [
        {"speech": io.BytesIO(sound), "tags": [i % 3, 2], "audio/filename": f"été {i}.flac"}
        for i, sound in enumerate(sounds)
    ]
    shape = (None,) if channels == 1 else (None, channels)
    feature = tfds.features.Audio(file_format="flac", shape=shape, dtype=np.int16, lazy_decode=True)
    tags = tfds.features.Sequence(tfds.features.ClassLabel(names=CLASSES))
    return write(
        folder, {"train": records}, **{"speech": feature, "tags": tags, "audio/filename": tfds.features.Text()}
    )
