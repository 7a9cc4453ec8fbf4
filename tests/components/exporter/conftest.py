import pytest
import tensorflow as tf

from tests import exports

CROP = 0.5


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A model and the execution that exported it."""
    run, _ = exports.execution(tmp_path_factory)
    return exports.small_model(), run


@pytest.fixture(scope="session")
def saved_model(exported):
    """The folder of the SavedModel."""
    _, run = exported
    return str(run.outputs["saved_model"])


@pytest.fixture(scope="session")
def served(saved_model):
    """The SavedModel as it is loaded."""
    return tf.saved_model.load(saved_model)
