"""Inputs that several tests share and none changes."""

import pytest
import tensorflow as tf
from etils import epath

from beam_jobs import examples as stored
from components.trainer import memory
from tests.components import stored_examples
from tests.components.trainer import reuse


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


@pytest.fixture(scope="session", autouse=True)
def traced_passes():
    """The passes of which the memory is estimated are traced once for each model and micro-batch."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(memory, "_trace_passes", reuse.TracedPasses())
        yield


@pytest.fixture(scope="session")
def trainings():
    return reuse.Trainings()


@pytest.fixture
def built_once(trainings, monkeypatch):
    """Trainings of the same model and optimizer get one step, one compiled loop and one validation."""
    trainings.install(monkeypatch)
