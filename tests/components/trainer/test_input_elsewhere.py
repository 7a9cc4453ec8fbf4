"""Input pipelines that TensorFlow runs in another process, where `tf.numpy_function` of this one does not exist."""

import contextlib
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from components.trainer import input_pipeline
from tests.components import stored_examples
from tests.components.trainer import input_host, train_elsewhere

BATCHES = train_elsewhere.BATCHES


@pytest.fixture(scope="module", params=["pcm", "flac"])
def stored(request, tmp_path_factory):
    """A folder of clips, some of them shorter than a crop."""
    folder = tmp_path_factory.mktemp("stored") / request.param
    clips = [(stored_examples.sound(i % 2, seconds=0.1 + 0.1 * i, seed=i), (), 0) for i in range(12)]
    return stored_examples.write_examples(folder, {"train": clips}, shards=2, storage=request.param)


@contextlib.contextmanager
def host(kind, *decoders):
    """Runs another process, and yields its address."""
    command = [sys.executable, "-m", input_host.__name__, kind, *decoders]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def here(folder, *, with_ids=True, **arguments):
    """Returns the batches that this process reads."""
    batches = input_pipeline.training_batches(folder, train_elsewhere.OPTIONS, with_ids=with_ids, **arguments)
    return list(batches.take(BATCHES).as_numpy_iterator())


def assert_equal(batches, expected_batches):
    assert len(batches) == len(expected_batches) == BATCHES
    for batch, expected in zip(batches, expected_batches, strict=True):
        assert batch.keys() == expected.keys()
        for name in expected:
            np.testing.assert_array_equal(batch[name], expected[name])


@pytest.mark.parametrize("short_clips", ["tile", "pad"])
def test_both_decoders_give_the_same_batches(stored, short_clips):
    options = input_pipeline.InputOptions(batch_size=4, crop_samples=4000, seed=3, short_clips=short_clips)
    batches = [
        list(input_pipeline.training_batches(stored, options, flac_decoder=decoder).take(BATCHES).as_numpy_iterator())
        for decoder in ("soundfile", "tensorflow_io")
    ]
    assert_equal(*batches)


def by_data_service(folder, *decoders, flac_decoder):
    """Returns the batches that a worker of tf.data's service reads."""
    batches = input_pipeline.training_batches(folder, train_elsewhere.OPTIONS, flac_decoder=flac_decoder)
    with host("data_service", *decoders) as address:
        distribute = tf.data.experimental.service.distribute("parallel_epochs", address)
        return list(batches.apply(distribute).take(BATCHES).as_numpy_iterator())


@pytest.mark.slow
def test_a_worker_of_the_data_service_reads_the_same_batches(stored):
    assert_equal(by_data_service(stored, "tensorflow_io", flac_decoder="tensorflow_io"), here(stored))


@pytest.mark.slow
def test_a_worker_of_the_data_service_cannot_call_soundfile(stored):
    if stored.name == "pcm":
        assert_equal(by_data_service(stored, flac_decoder="soundfile"), here(stored))
        return
    with pytest.raises(tf.errors.OpError, match=r"callback .* is not found|pyfunc_"):
        by_data_service(stored, flac_decoder="soundfile")


def train_with(folder, *decoders):
    with host("server", *decoders) as address:
        command = [sys.executable, "-m", train_elsewhere.__name__, address, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_strategy_on_another_process_chooses_the_decoder_by_itself(stored):
    assert_equal(json.loads(train_with(stored, "tensorflow_io")), here(stored, with_ids=False))


@pytest.mark.slow
def test_a_process_without_a_decoder_is_one_sentence(stored):
    printed = train_with(stored)
    if stored.name == "pcm":
        assert_equal(json.loads(printed), here(stored, with_ids=False))
        return
    assert printed.startswith("The examples are stored as FLAC, and ")
    assert "audio_example_gen.storage=pcm" in printed
    assert printed.count("\n") == 1
