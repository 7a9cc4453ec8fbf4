import pytest
import tensorflow as tf

from tests import exports


@pytest.fixture(autouse=True)
def _blank_pictures(blank_pictures):
    """What stages draw is tested with them."""


@pytest.fixture(scope="module")
def model():
    """A small model."""
    return exports.small_model()


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """The folder of the SavedModel of `model`. A process loads it once for all commands, because that takes long."""
    folder, load, loaded = exports.small(tmp_path_factory), tf.saved_model.load, []

    def load_once(path, *args, **options):
        if path != folder:
            return load(path, *args, **options)
        loaded.extend([] if loaded else [load(path, *args, **options)])
        return loaded[0]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tf.saved_model, "load", load_once)
        yield folder
