import numpy as np
import pytest

from components.evaluator.folds import make_folds, make_folds_to_choose
from components.evaluator.recordings import recording_of
from tests.components.evaluator.scattered_clips import clips_of


@pytest.mark.parametrize(
    ("clip_id", "recording"),
    [
        ("dog/1.wav", "dog/1.wav"),
        ("long.flac@60.00", "long.flac"),
        ("day.wav@3-7.5", "day.wav"),
        ("day.wav@0.25-1", "day.wav"),
        ("a@b.wav", "a@b.wav"),
        ("mic@2.wav@120.00", "mic@2.wav"),
    ],
)
def test_a_part_is_known_as_one_of_its_recording(clip_id, recording):
    assert recording_of(clip_id) == recording


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
