import pytest

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
    """The folder of the SavedModel of `model`."""
    return exports.small(tmp_path_factory)
