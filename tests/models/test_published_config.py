import pytest

from models import dual
from models.config import AugmentConfig, ModelConfig

# The config in a `.keras` file of an earlier version, from the Trainer and from the import of PANNs.
PUBLISHED = {
    "formats": ["mfcc", "log_mel"],
    "encoders": {"waveform": "conv320", "spectrogram": "cnn10", "log_mel": "cnn6", "mfcc": "cnn6"},
    "augmentations": [
        {"mixing": True, "time_mask_seconds": 0.0, "frequency_mask": 0, "frequency_shift": 0},
        {"mixing": True, "time_mask_seconds": 0.3, "frequency_mask": 5, "frequency_shift": 10},
    ],
    "share_encoder": True,
    "width": 0.03125,
    "dropout": 0.1,
    "norm": "group:1",
    "padding": "same",
    "crop_seconds": 0.5,
    "sample_rate": 32000,
    "n_mels": 64,
    "n_mfcc": 20,
    "front_end": {
        "window_seconds": 0.032,
        "hop_seconds": 0.01,
        "fft_length": 1024,
        "low_hz": 50.0,
        "high_hz": 14000.0,
        "mel_scale": "slaney",
        "log": "decibel",
        "floor": 1e-10,
        "centre": True,
    },
    "projector_dim": 16,
    "projector_norm": "batch",
    "mixing_group": 16,
    "seed": 7,
}
IMPORTED = {**PUBLISHED, "formats": ["log_mel", "log_mel"], "encoders": {"log_mel": "cnn6"}, "augmentations": [{}, {}]}


def test_a_published_config_is_read_and_written_unchanged():
    model = dual.DualEncoder.from_config(PUBLISHED)
    # Older files lack these two.
    assert model.get_config() == {**PUBLISHED, "name": model.name, "dtype": "float32"}
    assert model.seed == 7
    assert model.config.formats == "mfcc+log_mel"
    assert model.config.augment_a == AugmentConfig(mixing=True)
    assert model.config.augment_b == AugmentConfig(
        mixing=True, time_mask_seconds=0.3, frequency_mask=5, frequency_shift=10
    )


def test_widths_are_written_and_read():
    fields = {**PUBLISHED, "widths": {"waveform": 0.5, "spectrogram": None, "log_mel": None, "mfcc": None}}
    model = dual.DualEncoder.from_config(fields)
    assert model.get_config()["widths"] == fields["widths"]


def test_a_published_config_of_an_imported_network_is_read():
    model = dual.DualEncoder.from_config(IMPORTED)
    assert {name: encoder.name for name, encoder in model.encoders.items()} == {"log_mel": "cnn6"}
    assert (model.config.augment_a, model.config.augment_b) == (AugmentConfig(), AugmentConfig())
    assert model.augmentations == [([], []), ([], [])]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoders": {"mfcc": "cnn6"}}, "no encoder is given for the format 'log_mel'"),
        ({"front_end": {"hop": 160}}, "front_end.hop\n +Extra inputs are not permitted"),
        ({"augmentations": [{"reverb": 1}, {}]}, "augment_a.reverb\n +Extra inputs are not permitted"),
        ({"depth": 3}, "depth\n +Extra inputs are not permitted"),
    ],
)
def test_a_wrong_published_config_is_an_error(changes, message):
    with pytest.raises(ValueError, match=message):
        dual.DualEncoder.from_config({**PUBLISHED, **changes})


def test_fields_that_the_oldest_published_configs_lack_get_their_defaults():
    model = dual.DualEncoder(
        ModelConfig(width=1 / 32, crop_seconds=0.5, augment_a=AugmentConfig(), augment_b=AugmentConfig())
    )
    newer_fields = ("share_encoder", "norm", "padding", "n_mfcc", "front_end")
    oldest = {name: value for name, value in model.get_config().items() if name not in newer_fields}
    oldest["encoders"] = {"waveform": "conv320", "log_mel": "cnn10"}
    again = dual.DualEncoder.from_config(oldest)
    assert again.get_config() == model.get_config()
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]


@pytest.mark.parametrize("missing", ["formats", "encoders", "augmentations"])
def test_a_config_without_what_no_file_lacks_is_a_key_error(missing):
    with pytest.raises(KeyError, match=missing):
        dual.DualEncoder.from_config({name: value for name, value in PUBLISHED.items() if name != missing})
