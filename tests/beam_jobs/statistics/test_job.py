import json

import numpy as np
import pytest

from beam_jobs.audio import log_mel
from beam_jobs.statistics import job
from tests.beam_jobs.statistics.scenes import scene
from tests.beam_jobs.statistics.stored_splits import write


def clips(count, *, seed):
    """Returns clips of noise of different lengths, each with a random label."""
    rng = np.random.default_rng(seed)
    return [
        (rng.integers(-20000, 20000, rng.integers(400, 4000)).astype(np.int16), sorted({int(rng.integers(3))}))
        for _ in range(count)
    ]


def compute(folder, splits, **settings):
    """Writes examples and returns their statistics."""
    folder.mkdir(exist_ok=True)
    job.compute(write(folder, splits, **settings), output=str(folder / "s.json"))
    return json.loads((folder / "s.json").read_text())


def test_figures_agree_with_numpy_over_all_clips_at_once(tmp_path):
    splits = {"train": clips(7, seed=1), "eval": clips(3, seed=2)}
    splits["train"].append((np.zeros(1600, np.int16), []))
    splits["train"].append((np.full(1600, 32767, np.int16), [1, 2]))
    document = compute(tmp_path, splits, source="x/y.flac")
    assert list(document["splits"]) == ["train", "eval"]
    assert document["label_names"] == ["a", "b", "c"]
    train = document["splits"]["train"]
    audio = [clip for clip, _ in splits["train"]]
    energies = np.concatenate([log_mel.log_mel(clip, sample_rate=16000) for clip in audio]).astype(np.float64)
    np.testing.assert_allclose(train["log_mel_mean"], energies.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(train["log_mel_std"], energies.std(axis=0), atol=1e-3)
    assert train["clips"] == 9
    assert train["seconds"] == pytest.approx(sum(map(len, audio)) / 16000, abs=1e-3)
    assert train["min_seconds"] == pytest.approx(min(map(len, audio)) / 16000, abs=1e-3)
    assert train["max_seconds"] == pytest.approx(max(map(len, audio)) / 16000, abs=1e-3)
    assert train["label_counts"] == [sum(k in labels for _, labels in splits["train"]) for k in range(3)]
    assert train["label_pairs"] == [[1, 2, 1]]
    assert train["unlabelled_clips"] == train["silent_clips"] == train["clipped_clips"] == 1
    assert train["max_peak_dbfs"] == 0.0
    assert train["source_formats"] == [{"codec": None, "suffix": ".flac", "sample_rate": None, "clips": 9}]
    assert sum(train["duration_histogram"]["counts"]) == sum(train["level_histogram"]["counts"]) == 9


@pytest.mark.parametrize(
    "stored",
    [
        {"shards": 6, "storage": "flac"},
        pytest.param({"shards": 6}, marks=pytest.mark.slow),
        pytest.param({"shards": 1, "storage": "flac"}, marks=pytest.mark.slow),
    ],
)
def test_figures_depend_neither_on_the_number_of_files_nor_on_their_storage(tmp_path, stored):
    splits = {"train": [*clips(9, seed=4), *((scene(i), [0]) for i in range(3))], "valid": [(scene(1)[60:], [0])]}
    one = compute(tmp_path / "one", splits, shards=1)
    assert compute(tmp_path / "other", splits, **stored) == one


def test_near_duplicates_between_splits_are_listed(tmp_path):
    different = [(scene(seed), [0]) for seed in range(6)]
    splits = {
        "train": different[:4],
        "valid": [(scene(1)[70:], [1]), different[4]],
        "eval": [different[5], (np.rint(scene(2) * 0.5).astype(np.int16), [2])],
    }
    document = compute(tmp_path, splits)
    entries = {tuple(entry.pop("splits")): entry for entry in document["near_duplicates"]}
    assert list(entries) == [("train", "valid"), ("train", "eval"), ("valid", "eval")]
    assert entries["train", "valid"]["pairs"] == entries["train", "eval"]["pairs"] == 1
    assert entries["train", "valid"]["clips"] == entries["train", "eval"]["clips"] == [1, 1]
    assert [row[:2] for row in entries["train", "valid"]["listed"]] == [["train1", "valid0"]]
    assert [row[:2] for row in entries["train", "eval"]["listed"]] == [["train2", "eval1"]]
    assert entries["valid", "eval"] == {"pairs": 0, "clips": [0, 0], "listed": []}
    assert document["splits"]["train"]["fingerprinted_clips"] == 4


def test_silent_clips_are_not_near_duplicates(tmp_path):
    silence = [(np.random.default_rng(0).integers(-3, 4, 80000).astype(np.int16), [0])] * 40
    document = compute(tmp_path, {"train": silence, "eval": silence})
    assert document["near_duplicates"] == [{"splits": ["train", "eval"], "pairs": 0, "clips": [0, 0], "listed": []}]
    assert document["splits"]["eval"]["fingerprinted_clips"] == 0


def test_the_formats_of_the_source_files_are_counted(tmp_path):
    document = compute(tmp_path, {"train": clips(2, seed=1)}, source="a.m4a", source_codec="mp4/aac", source_rate=44100)
    assert document["splits"]["train"]["source_formats"] == [
        {"codec": "mp4/aac", "suffix": ".m4a", "sample_rate": 44100, "clips": 2}
    ]
    assert document["near_duplicates"] == []


def test_a_split_without_clips_is_absent(tmp_path):
    document = compute(tmp_path, {"train": clips(1, seed=1), "valid": []}, shards=3)
    assert list(document["splits"]) == ["train"]
    assert document["splits"]["train"]["clips"] == 1
