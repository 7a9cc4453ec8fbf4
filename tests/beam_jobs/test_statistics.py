import json

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs import examples, log_mel, statistics


def clips(count, *, seed):
    rng = np.random.default_rng(seed)
    return [
        (rng.integers(-20000, 20000, rng.integers(400, 4000)).astype(np.int16), sorted({int(rng.integers(3))}))
        for _ in range(count)
    ]


def write(folder, splits):
    """Two files a split."""
    for split, members in splits.items():
        for shard in range(2):
            with tf.io.TFRecordWriter(str(folder / examples.file_name(split, shard=shard, shards=2))) as writer:
                for i, (audio, labels) in enumerate(members[shard::2]):
                    writer.write(examples.encode(audio=audio, clip_id=f"{split}{i}", labels=labels))
    examples.write_metadata(
        folder,
        shard_lengths={split: [len(members[0::2]), len(members[1::2])] for split, members in splits.items()},
        shard_bytes=dict.fromkeys(splits, 0),
        label_names=("a", "b", "c"),
        sample_rate=16000,
        has_folds=False,
        description="test",
    )
    return examples.read_info(folder)


def test_job_against_numpy_over_all_clips_at_once(tmp_path):
    splits = {"train": clips(7, seed=1), "eval": clips(3, seed=2)}
    splits["train"].append((np.zeros(1600, np.int16), []))
    splits["train"].append((np.full(1600, 32767, np.int16), [2]))
    info = write(tmp_path, splits)
    statistics.compute(info, output=str(tmp_path / "s.json"))
    document = json.loads((tmp_path / "s.json").read_text())
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
    assert train["unlabelled_clips"] == train["silent_clips"] == train["clipped_clips"] == 1
    assert train["max_peak_dbfs"] == 0.0
    assert sum(train["duration_histogram"]["counts"]) == sum(train["level_histogram"]["counts"]) == 9


def test_levels():
    square = np.tile(np.array([3277, -3277], np.int16), 100)
    assert statistics.level_dbfs(square) == pytest.approx(-20.0, abs=0.01)
    assert statistics.peak_dbfs(square) == pytest.approx(-20.0, abs=0.01)
    assert statistics.peak_dbfs(np.array([-32768], np.int16)) == 0.0
    assert statistics.level_dbfs(np.zeros(5, np.int16)) == -100.0
    assert statistics.clipped_share(np.array([32767, 0, -32768, 5], np.int16)) == 0.5


@settings(deadline=None, max_examples=20)
@given(cut=st.integers(1, 5))
def test_merging_parts_gives_the_whole(cut):
    members = clips(6, seed=3)

    def sums(part):
        total = statistics.Sums.empty(3)
        for audio, labels in part:
            total.add(audio, labels=labels, sample_rate=16000)
        return total

    assert sums(members[:cut]).merge(sums(members[cut:])).to_json() == sums(members).to_json()
