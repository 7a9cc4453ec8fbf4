import json
import pathlib
import re

import pytest

from pipeline.configs import overrides, presets, typed_paths

FIELDS = [
    "audio_example_gen.source",
    "embedder.untrained_model",
    "example_validator.schema_path",
    "importer.model",
    "trainer.initial_model",
]
_FIELD = re.compile(r"^    (\w+): Location\b", re.MULTILINE)


def absolute(*assignments):
    config = overrides.override(presets.config("tiny"), assignments)
    found = typed_paths.absolute(assignments, config=config)
    again = overrides.override(presets.config("tiny"), found)
    assert typed_paths.absolute(found, config=again) == found
    return found


@pytest.fixture(autouse=True)
def _folders(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("field", FIELDS)
def test_fields_of_paths_become_absolute(tmp_path, field):
    assert absolute(f"{field}=m.keras") == [f"{field}={tmp_path}/here/m.keras"]
    assert absolute(f'{field}="m.keras"') == [f"{field}={tmp_path}/here/m.keras"]
    assert absolute(f"{field}=~/m.keras") == [f"{field}={tmp_path}/home/m.keras"]
    assert absolute(f"{field}=gs://bucket/m") == [f"{field}=gs://bucket/m"]


def test_these_are_all_fields_of_paths():
    files = sorted((pathlib.Path(__file__).parents[3] / "components").glob("*/config.py"))
    found = {f"{file.parent.name}.{name}" for file in files for name in _FIELD.findall(file.read_text())}
    assert found == set(FIELDS)


def test_paths_of_baselines_become_absolute(tmp_path):
    (found,) = absolute("embedder.baselines=mfcc_mean_std,panns=../p,mine:out@16000=~/m=1.onnx")
    name, _, value = found.partition("=")
    assert name == "embedder.baselines"
    paths = [f"panns={tmp_path}/p", f"mine:out@16000={tmp_path}/home/m=1.onnx"]
    assert json.loads(value) == ["mfcc_mean_std", *paths]


@pytest.mark.parametrize(
    "assignment",
    [
        "trainer.initial_model=null",
        "trainer.learning_rate=1e-3",
        "embedder.baselines=[]",
        "synthetic_audio_gen=null",
        "trainer.model.augment_a={}",
        'embedder={"baselines": ["panns=p"]}',
        "evaluator.max_clips=5",
    ],
)
def test_what_has_no_path_stays_as_it_was_typed(assignment):
    assert absolute(assignment) == [assignment]
