import copy
import itertools
import random
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import MultiLabelBinarizer

from beam_jobs.audio import log_mel
from beam_jobs.statistics import sums

CLASSES = 6


def clip(seed):
    """Returns a random clip as the arguments of `Sums.add`."""
    rng = np.random.default_rng(seed)
    level = rng.choice([0, 20, 3000, 40000])
    return {
        "audio": np.clip(rng.normal(size=rng.integers(1, 4000)) * level, -32768, 32767).astype(np.int16),
        "labels": rng.permutation(CLASSES)[: rng.integers(0, 4)],
        "source": str(rng.choice(["a.wav", "b/c.FLAC", "d", ""])),
        "codec": str(rng.choice(["", "flac/pcm_16"])),
        "source_rate": int(rng.choice([0, 44100])),
        "fingerprinted": bool(rng.integers(2)),
    }


def total(clips):
    result = sums.Sums.empty(classes=CLASSES, sample_rate=16000)
    for arguments in clips:
        result.add(**arguments)
    return result


def equal(first, second):
    a, b = vars(first), vars(second)
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


CLIPS = [clip(seed) for seed in range(12)]
EACH = [total([one]) for one in CLIPS]


@settings(max_examples=25)
@given(order=st.permutations(range(len(CLIPS))), seed=st.integers(0, 1000), empties=st.integers(0, 3))
def test_merging_in_any_order_gives_exactly_the_same_sums(order, seed, empties):
    parts = [EACH[i] for i in order] + [total([])] * empties
    rng = random.Random(seed)
    while len(parts) > 1:
        i = rng.randrange(len(parts) - 1)
        parts[i : i + 2] = [sums.Sums.merge_all(parts[i : i + 2])]
    whole = total(CLIPS)
    assert equal(parts[0], whole)
    assert parts[0].to_json() == whole.to_json()


def test_merging_does_not_change_its_operands():
    part = total(CLIPS[:3])
    before = copy.deepcopy(part)
    sums.Sums.merge_all([part, *EACH])
    assert equal(part, before)


@settings(max_examples=25)
@given(bounds=st.lists(st.integers(0, len(CLIPS)), max_size=6))
def test_merging_all_at_once_gives_exactly_the_same_sums_and_changes_none(bounds):
    bounds = [0, *sorted(bounds), len(CLIPS)]
    parts = [total(CLIPS[start:end]) for start, end in itertools.pairwise(bounds)]
    before = copy.deepcopy(parts)
    assert equal(sums.Sums.merge_all(iter(parts)), total(CLIPS))
    assert all(map(equal, parts, before))


def test_merging_takes_no_longer_for_a_part_when_more_were_merged_before():
    """A part has some of the pairs; what was merged before has all of them."""
    few, many = total(CLIPS[:1]), total(CLIPS)
    many.label_pairs.update({(i, j): 1 for i in range(300) for j in range(i + 1, 300)})

    def seconds(parts):
        started = time.process_time()
        sums.Sums.merge_all(parts)
        return time.process_time() - started

    assert seconds([many, *[few] * 200]) < 10 * seconds([many, *[few] * 5])


def test_merging_empty_sums_gives_empty_sums():
    assert equal(sums.Sums.merge_all([total([]), total([])]), total([]))


def test_figures_of_a_single_sample():
    figures = total([{"audio": np.array([-32768], np.int16), "labels": [2, 0]}]).to_json()
    assert figures["clips"] == figures["clipped_clips"] == 1
    assert figures["min_seconds"] == figures["max_seconds"] == 0.0  # 62.5 microseconds
    assert figures["max_peak_dbfs"] == figures["mean_level_dbfs"] == 0.0
    assert figures["label_pairs"] == [[0, 2, 1]]
    assert figures["silent_time_share"] == 0.0


def test_figures_agree_with_numpy_and_sklearn_over_all_clips_at_once():
    figures = total(CLIPS).to_json()
    audio = [one["audio"].astype(np.float64) / 32768 for one in CLIPS]
    energies = np.concatenate([log_mel.log_mel(x, sample_rate=16000) for x in audio]).astype(np.float64)
    np.testing.assert_allclose(figures["log_mel_mean"], energies.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(figures["log_mel_std"], energies.std(axis=0), atol=1e-4)
    levels = np.array([20 * np.log10(max(1e-5, np.sqrt(np.mean(x**2)))) for x in audio])
    peaks = np.array([20 * np.log10(max(1e-5, np.abs(x).max())) for x in audio])
    assert figures["mean_level_dbfs"] == pytest.approx(levels.mean(), abs=2e-3)
    assert figures["silent_clips"] == (levels < -60).sum() > 0
    assert figures["max_peak_dbfs"] == pytest.approx(peaks.max(), abs=1e-3)
    for name, values in {"level": levels, "peak": peaks, "duration": [x.size / 16000 for x in audio]}.items():
        histogram = figures[f"{name}_histogram"]
        assert histogram["counts"] == np.histogram(values, histogram["edges"])[0].tolist()
    members = MultiLabelBinarizer(classes=range(CLASSES)).fit_transform([one["labels"] for one in CLIPS])
    together = members.T @ members
    assert figures["label_counts"] == np.diag(together).tolist()
    pairs = [[i, j, together[i, j]] for i in range(CLASSES) for j in range(i + 1, CLASSES) if together[i, j]]
    assert sorted(figures["label_pairs"]) == pairs
    assert figures["label_pairs_found"] == len(pairs)
    assert figures["unlabelled_clips"] == sum(not len(one["labels"]) for one in CLIPS)
    assert figures["fingerprinted_clips"] == sum(one["fingerprinted"] for one in CLIPS)


def test_only_the_most_frequent_label_pairs_are_listed():
    classes = 60
    result = sums.Sums.empty(classes=classes, sample_rate=16000)
    result.add(np.ones(160, np.int16), labels=range(classes))
    result.add(np.ones(160, np.int16), labels=[58, 59])
    figures = result.to_json()
    assert figures["label_pairs"][0] == [58, 59, 2]
    assert figures["label_pairs"][1] == [0, 1, 1]
    assert len(figures["label_pairs"]) == sums.LABEL_PAIRS
    assert figures["label_pairs_found"] == classes * (classes - 1) // 2


def test_clips_with_one_label_are_counted_by_fold():
    clips = [((0,), 1), ((0,), 1), ((2,), 1), ((2,), 7), ((0, 2), 7), ((), 7), ((1,), 0)]
    figures = total([{"audio": np.ones(160, np.int16), "labels": labels, "fold": fold} for labels, fold in clips])
    assert figures.to_json()["fold_labels"] == [[0, 1, 1], [1, 0, 2], [1, 2, 1], [7, 2, 1]]
    assert figures.to_json()["several_labels_clips"] == 1


def test_unknown_source_formats_are_none():
    sounds = [("a.wav", "", 0)] * 2 + [("b.MP3", "mp3", 44100)] * 3 + [("", "", 0)]
    one = np.ones(160, np.int16)
    figures = total([{"audio": one, "source": s, "codec": c, "source_rate": r} for s, c, r in sounds]).to_json()
    assert figures["source_formats"] == [
        {"codec": "mp3", "suffix": ".mp3", "sample_rate": 44100, "clips": 3},
        {"codec": None, "suffix": ".wav", "sample_rate": None, "clips": 2},
        {"codec": None, "suffix": "", "sample_rate": None, "clips": 1},
    ]


def test_silent_time_within_a_clip_is_counted():
    sounding = np.full(1600, 3000, np.int16)
    figures = total([{"audio": np.concatenate([sounding, np.zeros(4800, np.int16)])}]).to_json()
    assert figures["silent_time_share"] == 0.75
    assert figures["silent_clips"] == 0
