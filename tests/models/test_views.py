import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import dual, views
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
    found = views.subclip_starts(int(16000 * seconds), crop=48000, stride=24000)
    assert found == [int(16000 * start) for start in starts]


@given(samples=st.integers(1, 60), crop=st.integers(1, 20), stride=st.integers(1, 20))
def test_the_graph_cuts_where_the_list_says_and_tiles_short_clips(samples, crop, stride):
    audio = np.random.default_rng(samples).normal(size=(2, samples)).astype(np.float32)
    windows = np.asarray(views.subclips(audio, crop=crop, stride=stride))
    starts = views.subclip_starts(samples, crop=crop, stride=stride)
    tiled = np.stack([np.resize(clip, max(samples, crop)) for clip in audio])
    np.testing.assert_array_equal(windows, np.stack([tiled[:, s : s + crop] for s in starts], axis=1))
    if samples >= crop >= stride:
        covered = {s + k for s in starts for k in range(crop)}
        assert covered == set(range(samples))


@pytest.mark.parametrize("arguments", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_impossible_sizes_are_refused(arguments):
    samples, crop, stride = arguments
    with pytest.raises(ValueError, match="at least 1"):
        views.subclip_starts(samples, crop=crop, stride=stride)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX traces each length anew")
def test_one_trace_serves_every_length():
    import tensorflow as tf

    cut = tf.function(
        lambda audio: views.subclips(audio, crop=8, stride=4), input_signature=[tf.TensorSpec((None, None))]
    )
    assert cut(tf.zeros((3, 5))).shape == (3, 1, 8)
    assert cut(tf.zeros((2, 17))).shape == (2, 4, 8)


def test_clip_embedding_is_the_mean_of_its_crops_embedded_one_by_one(model):
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 17000)).astype(np.float32)
    embedded = views.embed_clips(model, audio)
    starts = views.subclip_starts(17000, crop=8000, stride=4000)
    for name in model.embedding_names:
        crops = [np.asarray(model.embed(audio[:, s : s + 8000])[name]) for s in starts]
        np.testing.assert_allclose(np.asarray(embedded[name]), np.mean(crops, axis=0), atol=1e-5)
    expected = np.concatenate([np.asarray(embedded[name]) for name in model.embedding_names], axis=-1)
    np.testing.assert_array_equal(np.asarray(embedded["embedding"]), expected)
