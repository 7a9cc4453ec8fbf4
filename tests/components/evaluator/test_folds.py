import hashlib

import numpy as np

from components.evaluator.folds import make_folds, make_folds_to_choose
from components.evaluator.recordings import recording_of
from tests.components.evaluator.scattered_clips import clips_of


def test_the_parts_of_a_recording_are_in_one_fold_however_their_names_are_spelled():
    ids = [f"video{k:06d}_{start}" for k in range(30) for start in (0, 30)]
    ids += [f"{spelling}r{k}.wav@{start}-{start + 10}" for k in range(30) for start, spelling in ((0, ""), (10, "./"))]
    folds = make_folds(clips_of([(k % 2,) for k in range(120)], ids=ids))
    np.testing.assert_array_equal(folds[::2], folds[1::2])
    assert set(folds.tolist()) == {1, 2, 3, 4, 5}


def test_videos_of_one_segment_are_dealt_out_by_the_name_of_the_segment():
    """So they are in the same folds as ever, and the scores of runs can be compared."""
    ids = [f"video{k:06d}_{10 * k}" for k in range(40)]
    by_name = sorted(ids, key=lambda name: hashlib.blake2b(name.encode(), digest_size=8).digest())
    folds = make_folds(clips_of([(0,)] * 40, ids=ids))
    assert [folds[ids.index(name)] for name in by_name] == [k % 5 + 1 for k in range(40)]


def test_folds_hold_equal_shares_of_each_class_and_whole_recordings():
    labels = [(0,)] * 40 + [(1,)] * 16 + [(2,)] * 10
    ids = [f"{label}/{k // 2}.wav@{k % 2 * 10}.00" for k, (label,) in enumerate(labels)]
    clips = clips_of(labels, ids=ids)
    folds = make_folds(clips)
    for label, least, most in ((0, 8, 8), (1, 2, 4), (2, 2, 2)):
        counts = np.bincount(folds[[of_clip == (label,) for of_clip in labels]], minlength=6)[1:]
        assert (counts.min(), counts.max()) == (least, most), label
    for recording in {recording_of(name) for name in ids}:
        assert len({fold for fold, name in zip(folds, ids, strict=True) if recording_of(name) == recording}) == 1


def test_folds_do_not_depend_on_the_order_of_the_clips():
    clips = clips_of([(k % 3,) for k in range(30)], ids=[f"{k}.wav" for k in range(30)])
    order = np.random.default_rng(0).permutation(30)
    np.testing.assert_array_equal(make_folds(clips.reordered(order)), make_folds(clips)[order])


def test_there_are_no_more_folds_than_a_class_has_recordings():
    assert set(make_folds(clips_of([(0,), (0,), (1,), (1,), (1,)]))) == {1, 2, 3}
    assert set(make_folds(clips_of([(0, 1), (), (1,)]), folds=2)) <= {1, 2}


def test_two_recordings_are_in_two_folds_even_if_they_share_no_class():
    assert set(make_folds(clips_of([(0,), (1,), (2,)]))) == {1, 2}
    parts = clips_of([(0,), (1,), (0,)], ids=["day.wav@0.00", "day.wav@60.00", "day.wav@120.00"])
    assert set(make_folds(parts)) == {1}
    assert set(make_folds_to_choose(parts)) == {1, 2, 3}
