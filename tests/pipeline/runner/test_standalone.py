import json

import pytest

from components.base import StageResult
from components.errors import UserError
from components.trainer import TrainerConfig
from pipeline.console.progress import Display
from pipeline.runner import cache_key, standalone


@pytest.fixture
def begun(tmp_path):
    """Returns a function that makes `tmp_path` the output of a training that has begun with some precision."""

    def begin(precision):
        (tmp_path / "dataset_info.json").write_text("{}")
        (tmp_path / "work" / "checkpoints" / "00000002").mkdir(parents=True)
        config = cache_key.config_values(TrainerConfig(precision=precision))
        (tmp_path / "config.json").write_text(json.dumps({"examples": str(tmp_path), "trainer": config}, indent=1))

    return begin


def train(folder):
    standalone.train(TrainerConfig(), examples=str(folder), output=str(folder), display=Display())


def test_a_training_is_not_continued_in_another_precision(tmp_path, begun, monkeypatch):
    begun("float32")
    monkeypatch.setenv("TPU_NAME", "local")  # precision=auto now means bfloat16.
    with pytest.raises(UserError, match="holds a training with another config or other examples"):
        train(tmp_path)


def test_a_training_of_an_earlier_version_that_recorded_auto_is_continued(tmp_path, begun, monkeypatch):
    begun("auto")
    result = StageResult(summary="continued")
    monkeypatch.setattr(standalone.Trainer, "execute", lambda trainer, **_: result)
    train(tmp_path)
