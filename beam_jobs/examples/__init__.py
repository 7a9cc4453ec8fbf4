"""The stored form of a corpus: TFRecords of `tf.train.Example` in a folder that TFDS opens.

    audio-train.tfrecord-00000-of-00008 ...   one Example a clip, audio as int16 PCM bytes, or as a FLAC file
    dataset_info.json, features.json          written by TFDS: `tfds.builder_from_directory(folder)` opens them
    labels.labels.txt                         class names, one a line, in index order (absent without labels)

Reading needs neither TFDS nor Beam, and `read_info` not even TensorFlow.
"""

from beam_jobs.examples.info import SPLITS, ExamplesInfo, file_name, read_info
from beam_jobs.examples.read import dataset, parse, read_file
from beam_jobs.examples.samples import STORAGES
from beam_jobs.examples.write import encode, quiet_tfds, write_metadata

__all__ = [
    "SPLITS",
    "STORAGES",
    "ExamplesInfo",
    "dataset",
    "encode",
    "file_name",
    "parse",
    "quiet_tfds",
    "read_file",
    "read_info",
    "write_metadata",
]
