import json

import numpy as np
import pytest
from etils import epath
from tensorboard.backend.event_processing import event_accumulator

from beam_jobs import examples
from components.example_validator import ExampleValidator, ExampleValidatorConfig
from components.statistics_gen import StatisticsGen, StatisticsGenConfig
from tests.beam_jobs.statistics.scenes import scene
from tests.components import harness, stored_examples

pytestmark = pytest.mark.usefixtures("blank_pictures")


def clip(seed, *, labels, gain=1.0):
    """Returns a row of `stored_examples.write_examples`."""
    return np.rint(scene(seed, seconds=6.0) * gain).astype(np.int16), labels, 0


TRAIN = [clip(seed, labels=[0, 1] if seed % 2 else [2]) for seed in range(8)]


@pytest.fixture(scope="module")
def leaking_run(tmp_path_factory):
    """Statistics of 8 train clips and 2 eval clips, one of which is a train clip at half the level."""
    folder = tmp_path_factory.mktemp("statistics")
    stored_examples.write_examples(
        folder / "examples",
        {"train": TRAIN, "eval": [clip(5, labels=[0], gain=0.5), clip(20, labels=[])]},
        label_names=("a", "b", "c"),
        shards=2,
        source="x/y.mp3",
        source_codec="mp3",
        source_rate=44100,
    )
    component = StatisticsGen(StatisticsGenConfig(players=3))
    return harness.execute(component, folder / "run", examples=folder / "examples")


def test_statistics_of_a_split(leaking_run):
    document = json.loads((leaking_run.outputs["statistics"] / "statistics.json").read_text())
    assert document["sample_rate"] == 16000
    assert document["label_names"] == ["a", "b", "c"]
    train = document["splits"]["train"]
    assert train["clips"] == 8
    assert train["label_counts"] == [4, 4, 4]
    assert train["label_pairs"] == [[0, 1, 4]]
    assert train["seconds"] == 48.0
    levels = [10 * np.log10(np.mean((audio / 32768) ** 2)) for audio, _, _ in TRAIN]
    assert train["mean_level_dbfs"] == pytest.approx(np.mean(levels), abs=0.01)
    peak = max(np.abs(audio / 32768).max() for audio, _, _ in TRAIN)
    assert train["max_peak_dbfs"] == pytest.approx(20 * np.log10(peak), abs=0.01)


def test_summary_and_progress(leaking_run):
    assert leaking_run.result.summary.startswith("0.02 h, mean level -")
    assert leaking_run.result.summary.endswith(" dBFS, 0 silent, 3 classes, 1 near duplicate between splits")
    assert leaking_run.result.figures["near_duplicates"] == 1
    assert leaking_run.progress.updates[-1] == (10, 10, "clips")


def test_progress_counts_files_and_ignores_those_of_an_interrupted_run(tmp_path):
    clips = {"train": [clip(seed, labels=[0]) for seed in range(12)]}
    folder = stored_examples.write_examples(tmp_path / "examples", clips, label_names=("a",), shards=6)
    (tmp_path / "run" / "work" / "seen").mkdir(parents=True)
    (tmp_path / "run" / "work" / "seen" / "another file").write_text("")
    component = StatisticsGen(StatisticsGenConfig(players=0, beam_args=("--direct_num_workers=1",)))
    run = harness.execute(component, tmp_path / "run", examples=folder)
    assert run.progress.updates[-1] == (12, 12, "clips")
    assert {done for done, _, _ in run.progress.updates} <= {0, 2, 4, 6, 8, 10, 12}
    seen = {path.name for path in (tmp_path / "run" / "work" / "seen").iterdir()}
    assert seen == {epath.Path(path).name for path in examples.read_info(folder).files("train")}


def test_tensorboard(leaking_run):
    tags = leaking_run.tags()
    assert {"durations", "levels", "peaks", "log-mel bands", "class balance", "label co-occurrence"} <= tags
    assert {"train/00/audio", "train/02/log_mel", "eval/01/audio", "eval/01/log_mel"} <= tags
    assert "train/03/audio" not in tags


def read_texts(directory):
    """Returns the texts in the event files, by tag."""
    accumulator = event_accumulator.EventAccumulator(str(directory), size_guidance={"tensors": 0})
    accumulator.Reload()
    texts = {}
    for tag in accumulator.Tags()["tensors"]:
        if accumulator.SummaryMetadata(tag).plugin_data.plugin_name == "text":
            texts[tag] = accumulator.Tensors(tag)[0].tensor_proto.string_val[0].decode()
    return texts


def test_tables(leaking_run):
    tables = read_texts(leaking_run.context.tensorboard_dir)
    assert "| mp3 | .mp3 | 44,100 Hz | 8 | 2 |" in tables["source formats"]
    assert "| train, eval | 1 | 1 of 8 | 1 of 2 |" in tables["near duplicates"]
    assert "| train | train5 | eval | eval0 |" in tables["near duplicates"]
    assert "| 4 | a | b |" in tables["label pairs"]
    assert "| fingerprinted_clips | 8 | 2 |" in tables["statistics"]


def test_example_validator_reports_the_leak(leaking_run, tmp_path):
    config = ExampleValidatorConfig(leakage="fatal")
    run = harness.execute(ExampleValidator(config), tmp_path, statistics=leaking_run.outputs["statistics"])
    anomalies = json.loads((run.outputs["anomalies"] / "anomalies.json").read_text())
    assert (anomalies[0]["name"], anomalies[0]["severity"]) == ("train_eval_leakage", "fatal")
    assert "1 of 2 clips of the eval split" in anomalies[0]["message"]
    schema = json.loads((run.outputs["anomalies"] / "schema.json").read_text())
    assert schema["splits"]["train"]["label_counts"] == [4, 4, 4]


def test_unlabelled_audio_has_no_picture_of_classes(tmp_path):
    clips = {"train": [clip(1, labels=[]), (np.zeros(800, np.int16), [], 0)]}
    folder = stored_examples.write_examples(tmp_path / "examples", clips)
    run = harness.execute(StatisticsGen(StatisticsGenConfig(players=0)), tmp_path / "run", examples=folder)
    assert run.result.summary.endswith("1 silent, 0 classes")
    assert "durations" in run.tags()
    assert not {"class balance", "label co-occurrence", "label pairs", "near duplicates"} & run.tags()
