"""The order of the clips: which files a batch comes from, what each host reads, and what a resumed run skips."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from beam_jobs import examples
from beam_jobs.examples import record_sizes
from components.trainer import clip_order, input_pipeline
from tests.benchmarks import measuring
from tests.components import stored_examples
from tests.components.trainer.test_input_pipeline import assert_equal, host, ids, take, write

LENGTHS = [5, 1, 7, 3, 8]
CLIPS = sum(LENGTHS)


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(1)  # As the Trainer does.


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("order") / "data", lengths=LENGTHS)


@pytest.fixture(params=[1, 3])
def clips_per_read(request, monkeypatch):
    monkeypatch.setattr(clip_order, "WINDOW_READS", 4)  # A window is smaller than an epoch.
    return request.param


@pytest.fixture(scope="module")
def many_files(tmp_path_factory):
    sounds = [np.ones(4, np.int16)]
    return measuring.write_examples(tmp_path_factory.mktemp("many") / "x", sounds=sounds, clips=9000, files=1500)


@pytest.mark.parametrize("clips_per_read", [1, 3])
def test_a_batch_of_a_thousand_clips_comes_from_more_than_five_hundred_files(many_files, clips_per_read):
    """The third of the four batches has the last clips of an epoch and the first ones of the next."""
    batches = take(many_files, 4, batch_size=1024, crop_samples=4, clips_per_read=clips_per_read, start_step=6)
    files = [{clip_id.partition(b"-")[0] for clip_id in batch["clip_id"]} for batch in batches]
    assert min(map(len, files)) > 500


@pytest.mark.parametrize("hosts", [1, 2, pytest.param(4, marks=pytest.mark.slow)])
def test_all_hosts_together_read_each_clip_once_in_an_epoch(folder, clips_per_read, hosts):
    batch_size = 8
    steps = CLIPS // batch_size
    taken = [
        take(folder, 2 * steps, batch_size=batch_size, context=host(h, hosts), clips_per_read=clips_per_read)
        for h in range(hosts)
    ]
    epochs = [[i for batches in taken for i in ids(batches[first : first + steps])] for first in (0, steps)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(CLIPS))
    assert epochs[0] != epochs[1]


def test_the_global_batches_are_the_same_with_any_number_of_hosts(folder):
    whole = take(folder, 6, batch_size=8)
    shares = [take(folder, 6, batch_size=8, context=host(h, 2)) for h in range(2)]
    joined = [{k: np.concatenate([a[k], b[k]]) for k in a} for a, b in zip(*shares, strict=True)]
    assert_equal(joined, whole)


@pytest.mark.parametrize("start", [2, pytest.param(5, marks=pytest.mark.slow), 7])
def test_a_host_resumes_with_the_batches_that_would_have_come(folder, clips_per_read, start):
    """An epoch has six steps, and a window two to four."""
    settings = {"context": host(1, 2), "clips_per_read": clips_per_read}
    assert_equal(take(folder, 9 - start, start_step=start, **settings), take(folder, 9, **settings)[start:])


def test_a_resumed_run_does_not_read_the_clips_that_it_skips(folder, tmp_path):
    skipped = set(ids(take(folder, 4)))
    damaged = epath.Path(tmp_path / "damaged")
    damaged.mkdir()
    for path in folder.iterdir():
        path.copy(damaged / path.name)
    stored_examples.write_sizes(damaged)
    number = 0
    for file, clips in zip(examples.read_info(damaged).files("train"), LENGTHS, strict=True):
        content, end = bytearray(epath.Path(file).read_bytes()), 0
        for _ in range(clips):
            end += 16 + int.from_bytes(content[end : end + 8], "little")
            if number in skipped:
                content[end - 20] ^= 1
            number += 1
        epath.Path(file).write_bytes(content)
    assert_equal(take(damaged, 2, start_step=4), take(folder, 2, start_step=4))
    with pytest.raises(tf.errors.DataLossError):
        take(damaged, 1)


def test_examples_of_an_earlier_version_give_the_same_batches(folder, tmp_path):
    with_sizes = epath.Path(tmp_path / "with")
    with_sizes.mkdir()
    for path in folder.iterdir():
        path.copy(with_sizes / path.name)
    stored_examples.write_sizes(with_sizes)
    assert not (folder / record_sizes.FILE).exists()
    assert_equal(take(with_sizes, 3), take(folder, 3))


def test_a_file_without_clips_is_passed_over(tmp_path):
    lengths = [0, 3, 0, 5, 0]
    folder = write(tmp_path / "data", lengths=lengths)
    for clips_per_read in (1, 2):
        assert sorted(ids(take(folder, 2, clips_per_read=clips_per_read))) == list(range(8))


@pytest.mark.slow
def test_a_clip_in_a_bucket_is_one_request_and_a_skipped_one_is_none(buckets, folder):
    stored_examples.write_sizes(folder)
    remote = epath.Path("gs://bucket/examples")
    for path in folder.iterdir():
        (remote / path.name).write_bytes(path.read_bytes())
    options = input_pipeline.InputOptions(batch_size=4, crop_samples=100, seed=5)
    for start in (0, 4):
        before = len(buckets.requests())
        batches = input_pipeline.training_batches(remote, options, start_step=start).take(6 - start)
        assert_equal(list(batches.as_numpy_iterator()), take(folder, 6 - start, start_step=start))
        reads = [r for r in buckets.requests(start=before) if r.client == "tensorflow" and ".tfrecord" in r.path]
        clips = 4 * (6 - start)
        assert clips <= len(reads) <= clips + 2 * CLIPS  # Of the next epoch, it reads ahead.
