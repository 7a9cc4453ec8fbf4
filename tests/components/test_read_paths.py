"""The paths that a config names, which the runner looks for among what earlier runs have published."""

import pytest

from components.embedder import Embedder
from components.example_validator import ExampleValidator
from components.importer import Importer
from components.trainer import Trainer


@pytest.mark.parametrize(
    ("component", "paths"),
    [
        (Trainer(Trainer.Config(initial_model="runs/a")), {"initial_model": "runs/a"}),
        (Importer(Importer.Config(model="runs/a")), {"model": "runs/a"}),
        (ExampleValidator(ExampleValidator.Config(schema_path="s.json")), {"schema": "s.json"}),
        (
            Embedder(Embedder.Config(model="panns=a.pth", untrained_model="b.keras", baselines=("mfcc", "yamnet=c"))),
            {"model": "a.pth", "untrained_model": "b.keras", "yamnet": "c"},
        ),
        (Embedder(Embedder.Config(model="runs/a", baselines=())), {"model": "runs/a"}),
        (Trainer(), {}),
        (ExampleValidator(), {}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_they_are_named(component, paths):
    assert component.read_paths() == paths
