import keras
import pytest
import tensorflow as tf

from components.exporter import Exporter
from models import dual
from models.config import ModelConfig
from tests import shared
from tests.components import harness, stored_examples

CROP = 0.5


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A model and the execution that exported it."""
    keras.utils.set_random_seed(0)
    model = dual.DualEncoder(ModelConfig(width=0.03125, crop_seconds=CROP))

    def export(folder):
        (folder / "model").mkdir()
        model.save(folder / "model" / "model.keras")
        clips = [(stored_examples.sound(k % 2, seed=k, seconds=1.0 + 0.1 * k), (), 0) for k in range(4)]
        examples = stored_examples.write_examples(folder / "examples", {"train": clips[:3], "valid": clips[3:]})
        return harness.execute(Exporter(), folder, model=folder / "model", examples=examples)

    return model, shared.once(tmp_path_factory, "exporter", export)


@pytest.fixture(scope="session")
def saved_model(exported):
    """The folder of the SavedModel."""
    _, run = exported
    return str(run.outputs["saved_model"])


@pytest.fixture(scope="session")
def served(saved_model):
    """The SavedModel as it is loaded."""
    return tf.saved_model.load(saved_model)
