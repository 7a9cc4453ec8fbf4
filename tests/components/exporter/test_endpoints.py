import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.exporter import endpoints, saved_model
from models import dual, subclips
from models.config import ModelConfig
from tests.benchmarks import measuring

CROP, STRIDE = 1600, 800


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return dual.DualEncoder(ModelConfig(width=1 / 32, crop_seconds=0.1))


@pytest.fixture(scope="module")
def signatures(model):
    """The functions of both signatures, four sub-clips at a time, and those that embed all at once."""
    audio = [tf.TensorSpec((None, None), tf.float32)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(endpoints, "SUBCLIPS_AT_A_TIME", 4)
        functions = {}
        for embed in (endpoints.embed_clips, endpoints.embed_subclips, subclips.embed_clips, subclips.embed_subclips):
            functions[embed] = tf.function(lambda audio, embed=embed: embed(model, audio), input_signature=audio)
            functions[embed].get_concrete_function()
    return functions


@settings(max_examples=40, deadline=None)
@given(clips=st.integers(1, 6), samples=st.integers(1, CROP + 11 * STRIDE))
def test_embedding_in_parts_is_embedding_at_once(signatures, clips, samples):
    audio = np.random.default_rng(samples).uniform(-0.5, 0.5, (clips, samples)).astype(np.float32)
    for in_parts, at_once in (
        (endpoints.embed_clips, subclips.embed_clips),
        (endpoints.embed_subclips, subclips.embed_subclips),
    ):
        expected = signatures[at_once](audio)
        for name, values in signatures[in_parts](audio).items():
            scale = np.abs(expected[name]).max()
            np.testing.assert_allclose(values, expected[name], rtol=0, atol=2e-6 * scale)


def test_a_clip_within_one_part_is_embedded_to_the_same_bits(signatures):
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, (1, CROP + 2 * STRIDE)).astype(np.float32)
    for name, values in signatures[subclips.embed_subclips](audio).items():
        np.testing.assert_array_equal(signatures[endpoints.embed_subclips](audio)[name], values)


@pytest.mark.slow
@pytest.mark.parametrize("signature", ["serving_default", "windows"])
def test_the_memory_of_a_call_does_not_grow_with_the_length_of_a_clip(tmp_path, signature):
    saved_model.export(dual.DualEncoder(ModelConfig(width=1 / 16, crop_seconds=2.0)), tmp_path)
    peaks = [
        measuring.in_a_fresh_process("tests.benchmarks.embed_memory", "--call", signature, tmp_path, minutes)
        for minutes in (3, 30)
    ]
    # The audio of 27 minutes takes 99 MiB, and TensorFlow may copy it.
    assert peaks[1]["peak_mib"] - peaks[0]["peak_mib"] < 2 * 99 + 50
