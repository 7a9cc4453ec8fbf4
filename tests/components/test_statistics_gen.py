import json

import pytest

from components.audio_example_gen import AudioExampleGen, AudioExampleGenConfig
from components.statistics_gen import StatisticsGen, StatisticsGenConfig
from tests import corpora
from tests.components import ingesting


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("statistics")
    source = corpora.audioset(folder / "as", train=30, evaluation=3)
    examples = ingesting.run(AudioExampleGen(AudioExampleGenConfig(source=str(source))), folder / "examples")
    component = StatisticsGen(StatisticsGenConfig(players=2))
    return ingesting.run(component, folder / "statistics", examples=examples.outputs["examples"])


def test_figures(made):
    document = json.loads((made.outputs["statistics"] / "statistics.json").read_text())
    assert document["sample_rate"] == 16000
    assert document["label_names"] == ["Speech", "Male speech, man speaking", "Rain"]
    splits = document["splits"]
    assert sum(split["clips"] for split in splits.values()) == 33
    assert splits["eval"]["label_counts"] == [3, 0, 3]
    assert splits["eval"]["mean_seconds"] == 0.5
    # A sine of amplitude 0.3 has an RMS of 0.3 / sqrt(2).
    assert splits["train"]["mean_level_dbfs"] == pytest.approx(-13.47, abs=0.01)
    assert splits["train"]["max_peak_dbfs"] == pytest.approx(-10.46, abs=0.01)


def test_summary_and_progress(made):
    assert made.result.summary == "0.00 h, mean level -13.5 dBFS, 0 silent, 3 classes"
    assert made.updates[-1] == (33, 33, "clips")


def test_tensorboard(made):
    tags = made.tags()
    assert {"statistics", "durations", "levels", "log-mel bands", "class balance"} <= tags
    assert {"train/00/audio", "train/01/audio", "eval/00/log_mel", "eval/01/log_mel"} <= tags
