"""Inputs that several tests share and none changes."""

import pytest
import tensorflow as tf
from etils import epath

from beam_jobs import examples as stored
from tests.components import stored_examples


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    """Folders of 21 training clips and 5 valid clips of 1 s, in two classes, without anomalies."""
    folder = epath.Path(tmp_path_factory.mktemp("inputs"))
    (folder / "anomalies").mkdir()
    (folder / "anomalies" / "anomalies.json").write_text("[]")
    clips = {
        split: [(stored_examples.sound(i % 2, seconds=1.0, seed=(len(split), i)), (i % 2,), 0) for i in range(count)]
        for split, count in (("train", 21), ("valid", 5))
    }
    stored_examples.write_examples(folder / "examples", clips, label_names=("tone", "noise"))
    return {"examples": folder / "examples", "anomalies": folder / "anomalies"}


@pytest.fixture(scope="session")
def examples(tmp_path_factory):
    """A folder of 40 training clips of 1 s, in two classes."""
    clips = [(stored_examples.sound(i % 2, seconds=1.0, seed=i), (i % 2,), 0) for i in range(40)]
    folder = tmp_path_factory.mktemp("examples") / "examples"
    return stored_examples.write_examples(folder, {"train": clips}, label_names=("tone", "noise"))


@pytest.fixture(scope="session")
def info(examples):
    return stored.read_info(examples)


@pytest.fixture(scope="session")
def one_device():
    return tf.distribute.OneDeviceStrategy("cpu:0")
