import json
import zipfile

import h5py
import keras
import pytest

from components import keras_file
from components.errors import UserError
from components.importer import model_folder
from models import dual
from models.config import ModelConfig
from pipeline import cli


@keras.saving.register_keras_serializable("foreign")
class Trap(keras.layers.Layer):
    """Says whether it was built."""

    built_from = []

    @classmethod
    def from_config(cls, config):
        cls.built_from.append(config)
        return cls()

    def get_config(self):
        return {}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder such as the Trainer writes. Tests must not write to it."""
    folder = tmp_path_factory.mktemp("saved")
    model = dual.DualEncoder(ModelConfig(width=0.03125, crop_seconds=0.5))
    for name in (model_folder.MODEL, model_folder.INITIAL_MODEL):
        model.save(folder / name)
    (folder / model_folder.TRAINING).write_text("{}")
    return folder


def _altered(saved, folder, change, *, name=model_folder.MODEL):
    """Copies a folder of a model with another `config.json`."""
    folder.mkdir(exist_ok=True)
    for file in saved.iterdir():
        if file.name != name:
            (folder / file.name).write_bytes(file.read_bytes())
    with zipfile.ZipFile(saved / name) as source, zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.namelist():
            content = source.read(entry)
            if entry == "config.json":
                content = change(json.loads(content))
            target.writestr(entry, content)
    return folder


def _with(**fields):
    return lambda content: json.dumps({**content, **fields})


def _with_argument(**arguments):
    return lambda content: json.dumps({**content, "config": {**content["config"], **arguments}})


def _of_lambda():
    layer = keras.layers.Lambda(lambda x: 2 * x)
    return keras.saving.serialize_keras_object(keras.Sequential([keras.Input((3,)), layer]))


_TRAP = {"module": "foreign", "class_name": "Trap", "registered_name": "foreign>Trap", "config": {}}

REFUSED = {
    "a Lambda layer": lambda _: json.dumps(_of_lambda()),
    "a Lambda layer under our name": lambda _: json.dumps({**_of_lambda(), "class_name": "DualEncoder"}),
    "a foreign class": lambda _: json.dumps(_TRAP),
    "a foreign class under our name": _with(registered_name="foreign>Trap"),
    "another Keras class under our name": _with(registered_name="Sequential", module="keras"),
    "no registered name": _with(registered_name=None),
    "a class as the dtype": _with_argument(dtype=_TRAP),
    "a class as the name": _with_argument(name=_TRAP),
    "a class as the seed": _with_argument(seed=_TRAP),
    "no sample rate": _with_argument(sample_rate=None),
    "a list": lambda _: "[]",
    "a number": lambda _: "1",
    "a config that is none": _with(config=[]),
    "a config that is deep": lambda _: "[" * 200000,
    "a config that is large": lambda content: json.dumps(content) + " " * 2**21,
}


@pytest.mark.parametrize("name", [model_folder.MODEL, model_folder.INITIAL_MODEL])
@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_another_model_is_refused_in_one_sentence_and_nothing_of_it_is_built(saved, tmp_path, change, name):
    folder = _altered(saved, tmp_path / "model", change, name=name)
    with pytest.raises(UserError, match=rf"^importer.model: .*{name} is not a Diptych model.*: give another folder\.$"):
        model_folder.read_model_config(str(folder))
    with pytest.raises(UserError, match=rf"^.*{name} is not a Diptych model.*: train it again\.$"):
        keras_file.load(folder / name, way_out="train it again")
    assert not Trap.built_from


def test_the_command_refuses_it_before_anything_runs(saved, tmp_path, capsys):
    folder = _altered(saved, tmp_path / "model", REFUSED["a Lambda layer"])
    arguments = ["run", "--preset", "quickstart", "--import", str(folder), "--root", str(tmp_path / "root")]
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].endswith("is not a Diptych model: give another folder.")


def test_classes_beside_the_model_are_not_built(saved, tmp_path):
    """What `compile` got belongs to training, and Keras would build it."""
    extra = {"compile_config": {"optimizer": _TRAP}, "build_config": {"input_shape": _TRAP}}
    folder = _altered(saved, tmp_path / "model", _with(**extra))
    assert model_folder.read_model_config(str(folder))["sample_rate"] == 16000
    keras_file.load(folder / model_folder.MODEL, way_out="")
    assert not Trap.built_from


def test_weights_that_lie_in_another_file_are_not_read(saved, tmp_path):
    with zipfile.ZipFile(saved / model_folder.MODEL) as source:
        (tmp_path / "weights.h5").write_bytes(source.read("model.weights.h5"))
        config = source.read("config.json")
    with h5py.File(tmp_path / "weights.h5") as weights, h5py.File(tmp_path / "links.h5", "w") as links:
        for name in weights:
            links[name] = h5py.ExternalLink(str(tmp_path / "weights.h5"), f"/{name}")
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as target:
        target.writestr("config.json", config)
        target.writestr("metadata.json", "{}")
        target.write(tmp_path / "links.h5", "model.weights.h5")
    with pytest.raises(ValueError, match="Not allowed: H5 file with ExternalLink"):
        keras_file.load(tmp_path / "model.keras", way_out="")


def test_our_own_model_is_loaded(saved):
    model = keras_file.load(saved / model_folder.MODEL, way_out="")
    assert isinstance(model, dual.DualEncoder)
    assert model.get_config() == keras.models.load_model(saved / model_folder.MODEL, compile=False).get_config()
