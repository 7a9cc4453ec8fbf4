import json
import zipfile

import keras
import numpy as np
import pytest

from beam_jobs.embedding.embedder import Framing
from components.embedder import baselines
from components.errors import UserError
from components.importer import panns
from tests.components.embedder.baselines import checks
from tests.components.importer import checkpoints
from tests.reference import relative_error

COMPARED = Framing(sample_rate=16000, window_samples=8000, hop_samples=4000)


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """A folder that `diptych import-panns` wrote, of a network at 32 kHz. Tests must not write to it."""
    folder = tmp_path_factory.mktemp("panns")
    checkpoints.write(folder / "Cnn6.pth", checkpoints.tensors("cnn6"))
    panns.import_checkpoint(str(folder / "Cnn6.pth"), output=str(folder / "cnn6"), crop_seconds=1.0)
    return folder / "cnn6"


def test_an_imported_network_embeds_at_its_own_sample_rate(imported):
    embedder = baselines.parse(f"panns={imported}", framing=COMPARED).load()
    assert embedder.framing == Framing(sample_rate=32000, window_samples=32000, hop_samples=16000)
    sounds, vectors = checks.check(embedder, dims={"log_mel": 512})
    model = keras.models.load_model(imported / "model.keras", compile=False)
    assert relative_error(vectors["log_mel"], np.asarray(model.embed(sounds)["log_mel"])) < 1e-5


def test_a_folder_without_such_a_network_is_refused(tmp_path, imported):
    parse = f"panns={tmp_path}"
    content = (imported / "model.keras").read_bytes()
    (tmp_path / "model.keras").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="model.keras cannot be loaded .*: run `diptych import-panns` again"):
        baselines.parse(parse, framing=COMPARED).load()
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(tmp_path / "model.keras")
    with pytest.raises(UserError, match="model.keras is not a Diptych model"):
        baselines.parse(parse, framing=COMPARED).load()


def test_code_in_the_file_is_not_run(tmp_path):
    """A Lambda layer holds bytecode. No class that the file names is looked up."""
    keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: 2 * x)]).save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert "Lambda" in json.dumps(json.loads(archive.read("config.json")))
    with pytest.raises(UserError, match="model.keras is not a Diptych model: give a folder that"):
        baselines.parse(f"panns={tmp_path}", framing=COMPARED).load()
