"""What a SavedModel answers to clips that are empty, short, silent or no numbers: the same in every signature."""

import numpy as np
import pytest
import tensorflow as tf

from components.exporter import wav

RATE = 16000
DIM, EACH_DIM = 32, 16
OF_AUDIO = ("serving_default", "windows", "frames", "inputs")
EVERY = (*OF_AUDIO, "wav_bytes")


def _call(served, signature, audio):
    """Calls a signature with float32 (batch, samples), as WAV files in floating point if it takes files."""
    function = served.signatures[signature]
    ((name, spec),) = function.structured_input_signature[1].items()
    if spec.dtype == tf.string:
        audio = np.array([_wav(clip) for clip in audio], object).reshape(len(audio))
        return function(**{name: tf.constant(audio, tf.string)})
    return function(**{name: tf.constant(audio)})


def _wav(clip):
    encoded = wav.encode(np.zeros((len(clip), 2), np.int16), rate=RATE)  # As many bytes as mono float32.
    header = bytearray(encoded[:44])
    header[20:24], header[34:36] = b"\3\0\1\0", b"\x20\0"  # Floating point, one channel, 32 bits.
    return bytes(header) + clip.astype("<f4").tobytes()


def _noise(clips, samples):
    return np.random.default_rng(0).uniform(-0.1, 0.1, (clips, samples)).astype(np.float32)


@pytest.mark.parametrize("signature", OF_AUDIO)
def test_the_number_of_dimensions_and_the_lack_of_samples_are_said(served, signature):
    embed = served.signatures[signature]
    name = "inputs" if signature == "inputs" else "audio"
    for shape in ((9000,), (2, 9000, 1), (1, 2, 3, 4), ()):
        with pytest.raises(
            tf.errors.InvalidArgumentError, match=rf"{name} must have two dimensions, \(batch, samples\)"
        ):
            embed(**{name: tf.zeros(shape)})
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"{name} has no samples; .*its shape is\] \[2 0\]"):
        embed(**{name: tf.zeros((2, 0))})
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected to be a float tensor but is a int16 tensor"):
        embed(**{name: tf.zeros((2, 9000), tf.int16)})


def test_a_call_without_samples_is_said(served):
    with pytest.raises(tf.errors.InvalidArgumentError, match="waveform has no samples"):
        served(tf.zeros((2, 0)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="waveform has no samples"):
        served(tf.zeros((0,)))


@pytest.mark.parametrize("samples", [9000, 1, 0])
@pytest.mark.parametrize("signature", EVERY)
def test_an_empty_batch_has_empty_outputs(served, signature, samples):
    for name, values in _call(served, signature, np.zeros((0, samples), np.float32)).items():
        assert values.shape[0] == 0
        if name not in ("start_s", "end_s", "timestamps"):
            assert values.shape[-1] == (DIM if name == "embedding" else EACH_DIM)
    assert served(tf.zeros((0, samples))).shape == (0, DIM)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("signature", EVERY)
def test_a_value_that_is_no_number_spoils_its_own_clip_alone(served, signature, value):
    audio = _noise(2, 9000)
    whole = _call(served, signature, audio)
    audio[1, 5000] = value
    for name, values in _call(served, signature, audio).items():
        np.testing.assert_allclose(values[0], whole[name][0], atol=1e-5)
        if name not in ("start_s", "end_s", "timestamps"):
            assert np.isnan(values[1].numpy()).all(axis=-1).any()


@pytest.mark.parametrize("samples", [1, 2, 7999, 8000, 8001])
@pytest.mark.parametrize("signature", EVERY)
def test_silence_and_the_shortest_clips_have_finite_embeddings(served, signature, samples):
    for audio in (np.zeros((1, samples), np.float32), np.full((1, samples), -1, np.float32)):
        for values in _call(served, signature, audio).values():
            assert np.isfinite(values).all()
            assert values.shape[0] == 1


@pytest.mark.parametrize("signature", EVERY)
def test_a_clip_does_not_depend_on_its_batch_mates(served, signature):
    audio = np.concatenate([np.ones((1, 12345), np.float32), 1e-2 * _noise(1, 12345), _noise(1, 12345)])
    together = _call(served, signature, audio)
    for row in range(3):
        for name, values in _call(served, signature, audio[row : row + 1]).items():
            np.testing.assert_allclose(together[name][row : row + 1], values, atol=1e-5)


def test_files_of_different_lengths_are_embedded_as_alone(served):
    """A batch of files is not padded to the longest, as a batch of waveforms would have to be."""
    clips = [_noise(1, samples)[0] for samples in (100, 30000, 8000, 17001)]
    files = [_wav(clip) for clip in clips]
    together = served.signatures["wav_bytes"](wav_bytes=tf.constant(files))
    for row, clip in enumerate(clips):
        alone = served.signatures["serving_default"](audio=tf.constant(clip[None]))
        assert set(alone) == set(together)
        for name, values in alone.items():
            np.testing.assert_allclose(together[name][row : row + 1], values, atol=1e-5)


def test_all_ways_to_call_it_agree(served):
    audio = _noise(3, 21000)
    expected = _call(served, "serving_default", audio)["embedding"].numpy()
    for values in (
        _call(served, "inputs", audio)["embedding"],
        _call(served, "windows", audio)["embedding"].numpy().mean(axis=1),
        _call(served, "wav_bytes", audio)["embedding"],
        served(audio),
        served(tf.constant(audio), training=False),
        np.concatenate([served(clip) for clip in audio]),
    ):
        np.testing.assert_allclose(values, expected, atol=1e-5)
