import pytest

from components.errors import UserError
from components.trainer import Trainer
from tests.components.trainer import trainer_runs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__encoders__log_mel": "cnn14"}, "conv320 gives 8 and cnn14 gives 32"),
        ({"model__formats": "waveform+smell"}, "choose two of waveform, spectrogram, log_mel, mfcc"),
        (
            {"model__augment_a__frequency_shift": 3},
            "Branch A is a waveform.*add trainer.model.augment_a.frequency_shift=0",
        ),
        ({"warmup_steps": 6}, "trainer.warmup_steps=6 leaves nothing"),
        (
            {"mixing_steps": 3, "model__augment_a__mixing": False, "model__augment_b__mixing": False},
            "trainer.mixing_steps=3 lets mixing grow, and neither branch has any: add",
        ),
        ({"final_learning_rate": 0.1}, "trainer.final_learning_rate=0.1 is above trainer.learning_rate=0.01"),
        ({"model__crop_seconds": 0.05}, "a crop of 0.05 s is too short for conv320.*at least 0.0597 s"),
        (
            {"model__sample_rate": 8000},
            "8000 Hz has no room for bands.*at most 4000, or a sample rate of at least 15600",
        ),
        ({"model__encoders__mfcc": "conv320", "model__formats": "mfcc+mfcc"}, "'conv320' reads waveforms.*'mfcc'"),
        ({"model__padding": "valid", "model__formats": "mfcc+mfcc"}, "13 bands of mfcc are too few for cnn10.*16, or"),
        ({"model__n_mfcc": 81, "model__formats": "mfcc+mfcc"}, "n_mfcc 81 is more than the 80 mel bands"),
        ({"model__padding": "valid", "model__crop_seconds": 0.1}, "0.1 s is too short for cnn10 on log_mel.*0.17 s"),
        ({"model__front_end__fft_length": 256}, "trainer.model: fft_length 256 does not fit a window of 320 samples"),
        ({"model__front_end__low_hz": 7900}, "low_hz 7900 is not below high_hz 7800: choose a lower"),
    ],
)
def test_a_config_that_cannot_work_is_refused_before_anything_runs(changes, message):
    pair = {"model__encoders__waveform": "conv320", "model__encoders__log_mel": "cnn10"}
    with pytest.raises(UserError, match=message):
        Trainer(trainer_runs.config(**{**pair, **changes})).check()


@pytest.mark.parametrize("norm", ["layer", "group", "group:0", "batch:2", ""])
def test_an_unknown_norm_is_refused_with_the_known_ones(norm):
    with pytest.raises(UserError, match="model.norm: must be batch, or group:G for a number G of groups"):
        trainer_runs.config(model__norm=norm)
