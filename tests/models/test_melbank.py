import keras
import numpy as np
import pytest

from models import encoders, filters


@pytest.fixture(scope="module")
def stem():
    """The filter bank at its initial weights, as a model from waveforms to the outputs of the filters."""
    model = encoders.build("melbank", width=1 / 64)
    return keras.Model(model.inputs, model.get_layer("filters").output)


@pytest.mark.parametrize("band", [5, 40, 75])
def test_each_band_starts_most_sensitive_to_its_mel_frequency(stem, band):
    hertz = filters.htk_centers(80, low_hz=60.0, high_hz=7800.0)[band]
    time = np.arange(16000) / 16000
    outputs = np.asarray(stem(np.sin(2 * np.pi * hertz * time)[None].astype("float32")))[0]
    energy = outputs[:, :80] ** 2 + outputs[:, 80:] ** 2  # (frames, bands)
    assert (energy[2:-2].argmax(axis=1) == band).all()


def test_a_frame_every_ten_milliseconds(stem):
    assert stem(np.zeros((1, 16000), "float32")).shape == (1, 100, 160)


def test_silence_has_a_finite_embedding_and_a_finite_gradient():
    keras.utils.set_random_seed(0)
    model = encoders.build("melbank", width=1 / 32, dropout=0.0)
    assert np.isfinite(np.asarray(model(np.zeros((2, 8000), "float32")))).all()
