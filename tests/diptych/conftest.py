import shutil

import pytest

import diptych
from tests import exports
from tests.diptych import small_model


@pytest.fixture(scope="session", params=["small", pytest.param("exported", marks=pytest.mark.slow)])
def exported(request, tmp_path_factory):
    """The folder of a SavedModel with windows of half a second at 16 kHz: one made for tests, and the Exporter's."""
    folder = tmp_path_factory.mktemp(request.param) / "7"
    if request.param == "small":
        small_model.write(folder)
    else:
        shutil.copytree(exports.small(tmp_path_factory), folder)
    return folder


@pytest.fixture(scope="session")
def embedder(exported):
    return diptych.load(exported)
