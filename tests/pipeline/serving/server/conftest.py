import pytest
import tensorflow as tf

from pipeline import cli
from tests import corpora
from tests.pipeline.serving.server import tiny_model
from tests.pipeline.serving.server.running import running


@pytest.fixture(scope="package")
def versions(tmp_path_factory):
    """A folder with one version, 7, of a tiny model."""
    folder = tmp_path_factory.mktemp("versions")
    tiny_model.write(folder / "7")
    return folder


@pytest.fixture(scope="package")
def signatures(versions):
    """The signatures of that version, called directly."""
    root = tf.saved_model.load(str(versions / "7"))
    yield root.signatures
    del root  # It owns the variables until here.


@pytest.fixture(scope="package")
def index(versions, tmp_path_factory):
    """The embeddings of three tones, whose files are in `sounds/` beside it."""
    folder = tmp_path_factory.mktemp("index")
    for name, hertz in (("low", 200.0), ("middle", 900.0), ("high", 3000.0)):
        corpora.write_tone(folder / "sounds" / f"{name}.wav", seconds=1.0, hertz=hertz)
    output = folder / "sounds.parquet"
    assert cli.main(["embed", "--model", str(versions / "7"), "--output", str(output), str(folder / "sounds")]) == 0
    return output


@pytest.fixture(scope="package")
def server(versions):
    """A server of that model."""
    with running(versions, body_bytes=2**20, seconds=60.0) as server:
        yield server
