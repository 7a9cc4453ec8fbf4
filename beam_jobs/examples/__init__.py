"""The stored form of a corpus: TFRecords of `tf.train.Example` in a folder that TFDS opens.

    audio-train.tfrecord-00000-of-00008 ...   one Example per clip, its audio as int16 PCM bytes or as a FLAC file
    dataset_info.json, features.json          written by TFDS: `tfds.builder_from_directory(folder)` opens them
    record_sizes.npz                          bytes of each clip, so that one can be read alone
    labels.labels.txt                         class names, one per line, in index order (absent without labels)

Reading needs neither TFDS nor Beam. `read_info` does not even need TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING

from beam_jobs.examples.check import check_file
from beam_jobs.examples.info import SPLITS, STORAGES, DamagedExamplesError, ExamplesInfo, file_name, read_info
from beam_jobs.examples.quiet import quiet_tfds

if TYPE_CHECKING:
    from beam_jobs.examples.folder import check_folder
    from beam_jobs.examples.metadata import write_metadata
    from beam_jobs.examples.read import dataset, parse, parse_labels, read_file, read_records, read_some
    from beam_jobs.examples.tfrecord import Writer
    from beam_jobs.examples.write import encode

__all__ = [
    "SPLITS",
    "STORAGES",
    "DamagedExamplesError",
    "ExamplesInfo",
    "Writer",
    "check_file",
    "check_folder",
    "dataset",
    "encode",
    "file_name",
    "parse",
    "parse_labels",
    "quiet_tfds",
    "read_file",
    "read_info",
    "read_records",
    "read_some",
    "write_metadata",
]

# These modules import TensorFlow, TFDS or the library for checksums. They are imported upon first use, so that
# `read_info` stays fast.
_MODULE_OF = {
    "Writer": "tfrecord",
    "check_folder": "folder",
    "dataset": "read",
    "encode": "write",
    "parse": "read",
    "parse_labels": "read",
    "read_file": "read",
    "read_records": "read",
    "read_some": "read",
    "write_metadata": "metadata",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
