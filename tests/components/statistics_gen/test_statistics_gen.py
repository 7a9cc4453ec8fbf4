import json

import numpy as np
import pytest
from etils import epath
from tensorboard.backend.event_processing import event_accumulator

from beam_jobs.statistics import sums
from components.example_validator import ExampleValidator, ExampleValidatorConfig
from components.statistics_gen import StatisticsGen, StatisticsGenConfig, pictures
from tests import corpora
from tests.beam_jobs.statistics import test_job as test_statistics
from tests.beam_jobs.statistics.scenes import scene
from tests.components import harness


def clip(seed, *, labels, gain=1.0):
    return np.rint(scene(seed, seconds=6.0) * gain).astype(np.int16), labels


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Eight clips to train on, of which the eval split repeats one at half the level beside one of its own."""
    folder = tmp_path_factory.mktemp("statistics")
    splits = {
        "train": [clip(seed, labels=[0, 1] if seed % 2 else [2]) for seed in range(8)],
        "eval": [clip(5, labels=[0], gain=0.5), clip(20, labels=[])],
    }
    (folder / "examples").mkdir()
    test_statistics.write(folder / "examples", splits, source="x/y.mp3", source_codec="mp3", source_rate=44100)
    component = StatisticsGen(StatisticsGenConfig(players=3))
    return splits, harness.execute(component, folder / "statistics", examples=folder / "examples")


def test_figures(made):
    splits, run = made
    document = json.loads((run.outputs["statistics"] / "statistics.json").read_text())
    assert document["sample_rate"] == 16000
    assert document["label_names"] == ["a", "b", "c"]
    train = document["splits"]["train"]
    assert train["clips"] == 8
    assert train["label_counts"] == [4, 4, 4]
    assert train["label_pairs"] == [[0, 1, 4]]
    assert train["seconds"] == 48.0
    levels = [10 * np.log10(np.mean((audio / 32768) ** 2)) for audio, _ in splits["train"]]
    assert train["mean_level_dbfs"] == pytest.approx(np.mean(levels), abs=0.01)
    assert train["max_peak_dbfs"] == pytest.approx(
        20 * np.log10(max(np.abs(audio / 32768).max() for audio, _ in splits["train"])), abs=0.01
    )


def test_summary_and_progress(made):
    _, run = made
    assert run.result.summary.startswith("0.02 h, mean level -")
    assert run.result.summary.endswith(" dBFS, 0 silent, 3 classes, 1 near duplicate between splits")
    assert run.result.figures["near_duplicates"] == 1
    assert run.progress.updates[-1] == (10, 10, "clips")


def test_progress_goes_file_by_file_and_a_stopped_run_leaves_no_count_behind(tmp_path):
    (tmp_path / "examples").mkdir()
    info = test_statistics.write(
        tmp_path / "examples", {"train": [clip(seed, labels=[0]) for seed in range(12)]}, shards=6
    )
    (tmp_path / "run" / "work" / "seen").mkdir(parents=True)
    (tmp_path / "run" / "work" / "seen" / "another file").write_text("")
    component = StatisticsGen(StatisticsGenConfig(players=0, beam_args=("--direct_num_workers=1",)))
    run = harness.execute(component, tmp_path / "run", examples=tmp_path / "examples")
    assert run.progress.updates[-1] == (12, 12, "clips")
    assert {done for done, _, _ in run.progress.updates} <= {0, 2, 4, 6, 8, 10, 12}
    seen = {path.name for path in (tmp_path / "run" / "work" / "seen").iterdir()}
    assert seen == {epath.Path(path).name for path in info.files("train")}


def texts(run):
    accumulator = event_accumulator.EventAccumulator(str(run.context.tensorboard_dir), size_guidance={"tensors": 0})
    accumulator.Reload()
    tags = [
        tag
        for tag in accumulator.Tags()["tensors"]
        if accumulator.SummaryMetadata(tag).plugin_data.plugin_name == "text"
    ]
    return {tag: accumulator.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in tags}


def test_tensorboard(made):
    _, run = made
    assert {"durations", "levels", "peaks", "log-mel bands", "class balance", "label co-occurrence"} <= run.tags()
    assert {"train/00/audio", "train/02/log_mel", "eval/01/audio", "eval/01/log_mel"} <= run.tags()
    assert "train/03/audio" not in run.tags()


def test_tables(made):
    tables = texts(made[1])
    assert "| mp3 | .mp3 | 44,100 Hz | 8 | 2 |" in tables["source formats"]
    assert "| train, eval | 1 | 1 of 8 | 1 of 2 |" in tables["near duplicates"]
    assert "| train | train5 | eval | eval0 |" in tables["near duplicates"]
    assert "| 4 | a | b |" in tables["label pairs"]
    assert "| fingerprinted_clips | 8 | 2 |" in tables["statistics"]


def test_the_validator_reports_the_leak(made, tmp_path):
    config = ExampleValidatorConfig(leakage="fatal")
    run = harness.execute(ExampleValidator(config), tmp_path, statistics=made[1].outputs["statistics"])
    anomalies = json.loads((run.outputs["anomalies"] / "anomalies.json").read_text())
    assert (anomalies[0]["name"], anomalies[0]["severity"]) == ("train_eval_leakage", "fatal")
    assert "1 of 2 clips of the eval split" in anomalies[0]["message"]
    schema = json.loads((run.outputs["anomalies"] / "schema.json").read_text())
    assert schema["splits"]["train"]["label_counts"] == [4, 4, 4]


def figures(rows, *, classes):
    result = sums.Sums.empty(classes=classes, sample_rate=16000)
    for labels in rows:
        result.add(np.rint(corpora.tone(seconds=0.05) * 32768).astype(np.int16), labels=labels)
    return result.to_json()


@pytest.mark.parametrize(("classes", "width"), [(1, 1000), (60, 1000), (61, 1300), (527, 1300)])
def test_class_balance_of_few_and_many_classes(classes, width):
    rng = np.random.default_rng(0)
    splits = {
        split: figures([[int(rng.integers(classes))] for _ in range(40)], classes=classes)
        for split in ("train", "valid")
    }
    names = [f"a $long$ name of class {i}, of which only the beginning is shown" for i in range(classes)]
    image = pictures.balance(splits, names=names)
    assert image.shape[2] == width
    assert image.std() > 10


def test_co_occurrence_shows_who_is_with_whom():
    names = [f"class {i}" for i in range(40)]
    one = pictures.co_occurrence({"train": figures([[0, 1], [2, 3]], classes=40)}, names=names)
    other = pictures.co_occurrence({"train": figures([[0, 2], [1, 3]], classes=40)}, names=names)
    assert one.shape == other.shape
    assert not np.array_equal(one, other)
    many = pictures.co_occurrence({"train": figures([range(40)], classes=40)}, names=names)
    assert many.shape[1] > one.shape[1]


def test_unlabelled_audio_has_no_picture_of_classes(tmp_path):
    folder = tmp_path / "examples"
    folder.mkdir()
    test_statistics.write(folder, {"train": [clip(1, labels=[]), (np.zeros(800, np.int16), [])]})
    (folder / "labels.labels.txt").unlink()
    run = harness.execute(StatisticsGen(StatisticsGenConfig(players=0)), tmp_path / "run", examples=folder)
    assert run.result.summary.endswith("1 silent, 0 classes")
    assert "durations" in run.tags()
    assert not {"class balance", "label co-occurrence", "label pairs", "near duplicates"} & run.tags()
