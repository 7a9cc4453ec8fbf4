import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.exporter import endpoints, portions
from models import dual, subclip_starts, subclips
from models.config import EncodersConfig, ModelConfig

CROP, STRIDE, RATE = 1600, 800, 16000


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    encoders = EncodersConfig(waveform="conv160", log_mel="cnn6")
    return dual.DualEncoder(ModelConfig(encoders=encoders, width=1 / 32, crop_seconds=0.1))


@pytest.fixture(scope="module")
def signatures(model):
    """Functions by name: those behind the signatures, four windows at a time, and `models.subclips`, all at once."""
    audio = [tf.TensorSpec((None, None), tf.float32)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portions, "SAMPLES_AT_A_TIME", 4 * CROP)
        parts = endpoints.Endpoints(model)
        functions = {name: getattr(parts, name) for name in ("serving_default", "windows", "frames")}
        for embed in (subclips.embed_clips, subclips.embed_subclips):
            functions[embed.__name__] = functools.partial(embed, model)
        functions["embed"] = lambda crops: model.embed(crops, training=False)
        functions = {
            name: tf.function(function, input_signature=audio, autograph=False) for name, function in functions.items()
        }
        for name in ("serving_default", "windows", "frames"):
            functions[name].get_concrete_function()
    return functions


@pytest.mark.parametrize(("seconds", "windows"), [(1.0, 32), (3.0, 10), (32.0, 1), (100.0, 1)])
def test_about_as_much_sound_is_embedded_at_a_time_whatever_the_crop(seconds, windows):
    assert portions.windows_at_a_time(round(seconds * RATE)) == windows


def _noise(clips, samples):
    return np.random.default_rng(samples).uniform(-0.5, 0.5, (clips, samples)).astype(np.float32)


def _assert_close(actual, expected, *, scale):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-6 * scale)


@settings(max_examples=40, deadline=None)
@given(clips=st.integers(1, 6), samples=st.integers(1, CROP + 11 * STRIDE))
def test_embedding_in_parts_is_embedding_at_once(signatures, clips, samples):
    audio = _noise(clips, samples)
    for in_parts, at_once in (("serving_default", "embed_clips"), ("windows", "embed_subclips")):
        expected, outputs = signatures[at_once](audio), signatures[in_parts](audio)
        for name, values in expected.items():
            _assert_close(outputs[name], values, scale=np.abs(values).max())


def test_a_clip_within_one_part_is_embedded_to_the_same_bits(signatures):
    audio = _noise(1, CROP + 2 * STRIDE)
    for name, values in signatures["embed_subclips"](audio).items():
        np.testing.assert_array_equal(signatures["windows"](audio)[name], values)


@settings(max_examples=20, deadline=None)
@given(samples=st.integers(1, CROP + 5 * STRIDE))
def test_windows_say_where_they_lie(signatures, samples):
    outputs = signatures["windows"](_noise(2, samples))
    starts = np.array(subclip_starts.subclip_starts(samples, crop=CROP, stride=STRIDE))
    for clip in range(2):
        np.testing.assert_allclose(outputs["start_s"][clip], starts / RATE, rtol=1e-6)
        np.testing.assert_allclose(outputs["end_s"][clip], np.minimum(starts + CROP, samples) / RATE, rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(clips=st.integers(1, 3), samples=st.integers(1, 9000))
def test_frames_are_embedded_around_their_timestamps(signatures, clips, samples):
    audio = _noise(clips, samples)
    outputs = signatures["frames"](audio)
    times = outputs["timestamps"].numpy()
    hop = RATE // 20
    assert times.shape == outputs["embedding"].shape[:2] == (clips, 1 + (samples - 1) // hop)
    np.testing.assert_allclose(times, np.broadcast_to(np.arange(0, samples, hop) / RATE, times.shape), rtol=1e-6)
    assert times[0, -1] < samples / RATE <= times[0, -1] + 0.05 + 1e-6
    padded = np.pad(audio, ((0, 0), (CROP, CROP)), mode="symmetric")
    middle = times.shape[1] // 2
    window = padded[:, CROP + middle * hop - CROP // 2 :][:, :CROP]
    expected = np.concatenate([value.numpy() for value in signatures["embed"](window).values()], axis=-1)
    _assert_close(outputs["embedding"][:, middle], expected, scale=np.abs(expected).max())
