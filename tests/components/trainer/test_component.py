import pytest

from components.errors import UserError
from components.trainer import Trainer
from pipeline.configs import overrides, presets
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
        (
            {"model__augment_a__time_mask_seconds": 0.5},
            "augment_a.time_mask_seconds=0.5 may leave nothing of a crop of trainer.model.crop_seconds=0.5: choose",
        ),
        ({"model__augment_b__time_mask_seconds": 1e300}, "time_mask_seconds=1e.300 may leave nothing of a crop"),
        (
            {"model__augment_b__time_mask_seconds": 0.005},
            "trainer.model.augment_b.time_mask_seconds=0.005 masks nothing, .* 0.01 s from .*: choose more, or 0",
        ),
        ({"model__augment_a__time_mask_seconds": 1e-5}, "augment_a.time_mask_seconds=1e-05 masks nothing"),
        (
            {"model__augment_b__frequency_shift": 81},
            "augment_b.frequency_shift=81 is too much for trainer.model.n_mels=80 bands, .*: choose at most 80",
        ),
        ({"model__augment_b__frequency_mask": 80}, "augment_b.frequency_mask=80 is too much .* at most 79"),
        ({"mixing_steps": 7}, "trainer.mixing_steps=7 is more than trainer.steps=6, .*: choose at most 6, or 0"),
        (
            {"initial_temperature": 0.5},
            "trainer.temperature_steps=1000 is more than trainer.steps=6, .* never becomes trainer.temperature=0.1: "
            "choose at most 6, or trainer.initial_temperature=null",
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
        ({"model__front_end__low_hz": 7799.999}, "trainer.model: 80 bands are too many.*choose fewer bands"),
        ({"model__n_mels": 2000}, "trainer.model: 2000 bands are too many.*choose fewer bands"),
        ({"model__norm": "group:7"}, "trainer.model: .* cannot split 8 channels into 7 groups: choose a number"),
        ({"micro_batch": 3}, "trainer.micro_batch=3 does not divide 8: choose a divisor"),
        ({"micro_batch": 16}, "trainer.micro_batch=16 does not divide 8: choose a divisor"),
        (
            {"tpu": "slice", "strategy": "one"},
            "trainer.tpu=slice names a TPU, and trainer.strategy=one trains elsewhere: set trainer.strategy=tpu, or",
        ),
        ({"micro_batch": 4}, "are not a multiple of trainer.model.mixing_group=32: make trainer.micro_batch"),
    ],
)
def test_a_config_that_cannot_work_is_refused_before_anything_runs(changes, message):
    pair = {"model__encoders__waveform": "conv320", "model__encoders__log_mel": "cnn10"}
    with pytest.raises(UserError, match=message):
        Trainer(trainer_runs.config(**{**pair, **changes})).check()


@pytest.mark.parametrize(
    "norm", ["layer", "group", "group:0", "batch:2", "", pytest.param("group:" + 5000 * "1", id="digits")]
)
def test_an_unknown_norm_is_refused_with_the_known_ones(norm):
    with pytest.raises(UserError, match="model.norm: must be batch, or group:G for a number G of groups"):
        trainer_runs.config(model__norm=norm)


@pytest.mark.parametrize(
    ("preset", "changes", "message"),
    [
        ("base", {"width": 0.4}, "cannot split 51 channels into 13 groups"),
        ("base", {"width": 0.1}, "cannot split 13 channels into 3 groups"),
        ("base", {"width": 0.7}, "cannot split 45 channels into 22 groups"),
        ("tiny", {"width": 0.2, "widths.waveform": 0.05}, "cannot split"),
    ],
)
def test_a_width_that_the_norm_of_an_encoder_does_not_fit_is_refused(preset, changes, message):
    fields = {f"trainer.model.{name}": value for name, value in changes.items()}
    with pytest.raises(UserError, match=f"trainer.model: group normalization {message}"):
        Trainer(overrides.replace(presets.config(preset), fields).trainer).check()


@pytest.mark.parametrize(
    "changes",
    [
        {"mixing_steps": 6},
        {"initial_temperature": 0.5, "temperature_steps": 6},
        {"temperature_steps": 1000},
        {"model__augment_a__time_mask_seconds": 0.4999, "model__augment_b__time_mask_seconds": 0.0051},
        {"model__augment_b__frequency_shift": 80, "model__augment_b__frequency_mask": 79},
    ],
)
def test_what_just_fits_passes(changes):
    Trainer(trainer_runs.config(**changes)).check()


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_every_preset_passes(preset):
    Trainer(presets.config(preset).trainer).check()


@pytest.mark.parametrize("field", ["temperature", "initial_temperature"])
@pytest.mark.parametrize("value", [1e-40, 1e-7, 1e7])
def test_a_temperature_that_float32_cannot_compute_with_is_refused(field, value):
    with pytest.raises(UserError, match=rf"^{field}: must be at (least|most) 1e[+-]06, not"):
        trainer_runs.config(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model.width", 1e308),
        ("model.widths.log_mel", 1e308),
        ("model.crop_seconds", 1e308),
        ("model.front_end.window_seconds", 1e308),
        ("model.front_end.hop_seconds", 1e308),
        ("model.front_end.fft_length", 10**30),
        ("model.sample_rate", 10**400),
        ("steps", 10**30),
    ],
)
def test_a_number_that_is_far_too_large_is_one_sentence(field, value):
    with pytest.raises(UserError, match=rf"^{field}: must be at most [0-9.e+]+, not .*\.$"):
        trainer_runs.config(**{field: value})
