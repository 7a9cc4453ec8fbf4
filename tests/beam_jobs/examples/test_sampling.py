import pathlib

import numpy as np
import pytest
import tensorflow as tf

from beam_jobs import examples
from beam_jobs.examples import sampling
from tests.components import stored_examples


def _examples(folder, *, clips, shards):
    """Writes a valid split. The samples of each clip are its number in the split."""
    by_number = np.concatenate([np.arange(shard, clips, shards) for shard in range(shards)]).argsort()
    rows = [(np.full(3, number, np.int16), (0,), 0) for number in by_number]
    return examples.read_info(stored_examples.write_examples(folder, {"valid": rows}, label_names="x", shards=shards))


def _large(lengths):
    return examples.ExamplesInfo(
        directory=None, splits={}, shards={}, shard_lengths={"valid": lengths}, label_names=(), sample_rate=16000,
        has_folds=False, storage="pcm",
    )  # fmt: skip


def _read(info, numbers):
    read = sampling.read_clips(info, "valid", numbers=numbers, parse=examples.parse).as_numpy_iterator()
    return [(int(clip["number"]), int(clip["audio"][0])) for clip in read]


def test_the_clips_of_these_numbers_are_read_in_the_order_of_the_files(tmp_path):
    info = _examples(tmp_path / "x", clips=23, shards=4)
    for numbers in ([22, 0, 7, 6, 5], np.arange(23), []):
        assert _read(info, numbers) == [(number, number) for number in sorted(numbers)]


@pytest.mark.parametrize("clips", [300, 8000])
def test_a_split_that_is_little_larger_than_the_sample_is_drawn_from_as_a_whole(clips):
    info = _large((clips - 100, 100))
    drawn = np.zeros(clips)
    for seed in range(50):
        order = sampling.drawing_order(info, "valid", count=clips // 4, seed=seed)
        assert sorted(order) == list(range(clips))
        drawn[order[: clips // 4]] += 1
    # Each clip is drawn 12.5 times on average, by a binomial distribution with a standard deviation of 3.1.
    assert drawn.max() < 29
    assert 11 < drawn[-100:].mean() < 14


@pytest.mark.parametrize("lengths", [(400,) * 240, (1,) * 100_000, (9000, 90_000, 5), tuple(range(1, 450))])
def test_of_a_large_split_the_first_clips_of_files_at_random_are_drawn(lengths):
    info, starts = _large(lengths), np.cumsum(lengths) - lengths
    order = sampling.drawing_order(info, "valid", count=2000, seed=0)
    assert len(set(order)) == len(order) == 8000
    files = np.searchsorted(starts, order, side="right") - 1
    assert len(set(files)) >= min(64, len(lengths))
    for used in (2000, 8000):  # A file is read up to the last of its clips, which are all that come before it.
        read = sum((order[:used] - starts[files[:used]])[files[:used] == file].max() + 1 for file in set(files[:used]))
        assert read == used
    assert sampling.drawing_order(info, "valid", count=2000, seed=0).tolist() == order.tolist()
    assert sampling.drawing_order(info, "valid", count=2000, seed=1).tolist() != order.tolist()


def test_what_is_not_drawn_is_not_read(tmp_path):
    info = _examples(tmp_path / "x", clips=40, shards=2)
    file = pathlib.Path(info.files("valid")[1])
    file.write_bytes(file.read_bytes()[:-3])
    assert _read(info, [3, 20, 38]) == [(3, 3), (20, 20), (38, 38)]
    with pytest.raises(tf.errors.DataLossError, match="truncated record"):
        _read(info, [39])


@pytest.mark.parametrize("kept", [0, 30])
def test_a_file_with_another_number_of_clips_is_an_error(tmp_path, kept):
    info = _examples(tmp_path / "x", clips=20, shards=1)
    other = _examples(tmp_path / "other", clips=kept, shards=1) if kept else None
    pathlib.Path(info.files("valid")[0]).write_bytes(
        pathlib.Path(other.files("valid")[0]).read_bytes() if other else b""
    )
    with pytest.raises(tf.errors.FailedPreconditionError):
        _read(info, [0, 19])
