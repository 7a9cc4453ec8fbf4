import pathlib

import numpy as np
import pytest

from beam_jobs import examples
from beam_jobs.examples import sampling
from components.trainer import probe_sample
from tests.components import stored_examples

CLASSES = 4


def _examples(folder, *, clips, shards, unlabeled=()):
    """Writes a valid split. Each clip is as many samples long as its number says, and its class follows from it."""
    rows = [
        (np.full(index + 1, index, np.int16), () if index in unlabeled else (index % CLASSES,), 0)
        for index in range(clips)
    ]
    names = [str(k) for k in range(CLASSES)]
    return examples.read_info(stored_examples.write_examples(folder, {"valid": rows}, label_names=names, shards=shards))


def _numbers(sample):
    return [int(audio[0]) for audio in sample.audio()]


def test_the_sample_is_drawn_over_the_whole_split(tmp_path):
    info = _examples(tmp_path / "examples", clips=60, shards=3)
    drawn = np.zeros(60)
    for seed in range(15):
        drawn[probe_sample.draw(info, max_clips=20, seed=seed).numbers] += 1
    # Each clip is drawn 5 times on average, by a binomial distribution with a standard deviation of 1.8.
    assert drawn.max() < 14
    assert np.count_nonzero(drawn) > 57
    for part in (drawn[:30], drawn[30:], drawn[::3], drawn[1::3]):
        assert 4.2 < part.mean() < 5.8


def test_the_same_seed_draws_the_same_clips_with_their_labels(tmp_path):
    info = _examples(tmp_path / "examples", clips=50, shards=2)
    sample = probe_sample.draw(info, max_clips=20, seed=3)
    numbers = _numbers(sample)
    assert len(set(numbers)) == len(sample) == 20
    assert sample.targets.argmax(axis=1).tolist() == [number % CLASSES for number in numbers]
    assert [audio.size for audio in sample.audio()] == [number + 1 for number in numbers]
    assert _numbers(probe_sample.draw(info, max_clips=20, seed=3)) == numbers
    assert _numbers(probe_sample.draw(info, max_clips=20, seed=4)) != numbers


def test_clips_without_a_label_are_left_out(tmp_path):
    info = _examples(tmp_path / "examples", clips=40, shards=2, unlabeled=range(0, 40, 2))
    numbers = _numbers(probe_sample.draw(info, max_clips=15, seed=0))
    assert len(numbers) == 15
    assert all(number % 2 for number in numbers)
    assert len(probe_sample.draw(info, max_clips=2000, seed=0)) == 20


def test_there_is_no_sample_without_labels(tmp_path):
    info = _examples(tmp_path / "examples", clips=5, shards=1, unlabeled=range(5))
    assert probe_sample.draw(info, max_clips=10, seed=0) is None
    assert probe_sample.draw(info, max_clips=0, seed=0) is None


def test_all_subclips_of_a_clip_are_embedded_up_to_a_bound():
    assert probe_sample.evenly_spaced(list(range(64))) == list(range(64))
    spaced = probe_sample.evenly_spaced(list(range(0, 10_000, 10)))
    assert (len(spaced), spaced[0], spaced[-1]) == (64, 0, 9990)


@pytest.mark.parametrize("unlabeled", [(), range(0, 40, 2)])
def test_a_large_split_is_not_read_to_its_end(tmp_path, monkeypatch, unlabeled):
    monkeypatch.setattr(sampling, "_FEW_CLIPS", 0)
    info = _examples(tmp_path / "examples", clips=40, shards=2, unlabeled=unlabeled)
    for file in map(pathlib.Path, info.files("valid")):
        file.write_bytes(file.read_bytes()[:-3])
    sample = probe_sample.draw(info, max_clips=4, seed=0)
    assert len(_numbers(sample)) == 4
    assert sample.targets.sum() == 4
