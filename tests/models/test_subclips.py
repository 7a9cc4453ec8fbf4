import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import dual, subclip_starts, subclips
from models.config import ModelConfig


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return dual.DualEncoder(ModelConfig(width=0.03125, crop_seconds=0.5))


@pytest.mark.parametrize(
    ("seconds", "starts"),
    [(2.0, [0.0]), (3.0, [0.0]), (3.5, [0.0, 0.5]), (5.0, [0.0, 1.5, 2.0]), (10.0, [0.0, 1.5, 3.0, 4.5, 6.0, 7.0])],
)
def test_subclips_start_every_stride_and_the_last_ends_with_the_clip(seconds, starts):
    samples = subclip_starts.subclip_starts(int(16000 * seconds), crop=48000, stride=24000)
    assert samples == [int(16000 * start) for start in starts]


@given(samples=st.integers(1, 60), crop=st.integers(1, 20), stride=st.integers(1, 20))
def test_clips_are_split_at_the_listed_starts_and_short_clips_are_repeated(samples, crop, stride):
    audio = np.random.default_rng(samples).normal(size=(2, samples)).astype(np.float32)
    split = np.asarray(subclips.split_into_subclips(audio, crop=crop, stride=stride))
    starts = subclip_starts.subclip_starts(samples, crop=crop, stride=stride)
    repeated = np.stack([np.resize(clip, max(samples, crop)) for clip in audio])
    np.testing.assert_array_equal(split, np.stack([repeated[:, start : start + crop] for start in starts], axis=1))
    if samples >= crop >= stride:
        covered = {start + offset for start in starts for offset in range(crop)}
        assert covered == set(range(samples))


@pytest.mark.parametrize("arguments", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_impossible_sizes_are_refused(arguments):
    samples, crop, stride = arguments
    with pytest.raises(ValueError, match="at least 1"):
        subclip_starts.subclip_starts(samples, crop=crop, stride=stride)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX traces every length separately")
def test_one_trace_serves_every_length():
    import tensorflow as tf  # only here, because the other tests also run on JAX

    @tf.function(input_signature=[tf.TensorSpec((None, None))])
    def split(audio):
        return subclips.split_into_subclips(audio, crop=8, stride=4)

    assert split(tf.zeros((3, 5))).shape == (3, 1, 8)
    assert split(tf.zeros((2, 17))).shape == (2, 4, 8)


def test_a_clip_embedding_is_the_mean_of_its_sub_clips_embeddings(model):
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 17000)).astype(np.float32)
    embedded = subclips.embed_clips(model, audio)
    starts = subclip_starts.subclip_starts(17000, crop=8000, stride=4000)
    for name in model.embedding_names:
        expected = np.mean([np.asarray(model.embed(audio[:, start : start + 8000])[name]) for start in starts], axis=0)
        np.testing.assert_allclose(np.asarray(embedded[name]), expected, atol=1e-5)
    expected = np.concatenate([np.asarray(embedded[name]) for name in model.embedding_names], axis=-1)
    np.testing.assert_array_equal(np.asarray(embedded["embedding"]), expected)
