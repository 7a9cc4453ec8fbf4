import keras
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from models import augment, frontends
from models.config import AugmentConfig, ModelConfig


def _spectra(batch, frames, bands):
    """Returns spectra in which all values differ, and none is the floor, -9."""
    return np.arange(1, batch * frames * bands + 1, dtype="float32").reshape(batch, frames, bands)


def _assert_mixed(mixed, *, group):
    """Checks mixed rows of the identity matrix, whose nonzero columns show which examples were mixed."""
    batch = len(mixed)
    np.testing.assert_allclose(mixed.sum(axis=1), 1.0, rtol=1e-5)
    for i, row in enumerate(mixed):
        start = i // group * group
        size = min(start + group, batch) - start
        partners = [int(j) for j in np.flatnonzero(row) if j != i]
        assert len(partners) == (0 if size == 1 else 1)
        assert all(start <= j < start + size for j in partners)


def _assert_shifted(shifted, x, *, farthest):
    bands = x.shape[-1]
    for before, after in zip(x, shifted, strict=True):
        candidates = []
        for shift in range(-farthest, farthest + 1):
            moved = np.full_like(before, -9.0)
            if abs(shift) < bands:
                moved[:, max(shift, 0) : bands + min(shift, 0)] = before[:, max(-shift, 0) : bands - max(shift, 0)]
            candidates.append(moved)
        assert any(np.array_equal(after, candidate) for candidate in candidates)


def _assert_masked(masked, x, *, axis, longest):
    for before, after in zip(x, masked, strict=True):
        dropped = (after == -9.0).all(axis=2 - axis)  # `before` and `after` have no batch axis.
        np.testing.assert_array_equal(after[after != -9.0], before[after != -9.0])
        assert dropped.sum() == (after == -9.0).sum() // after.shape[2 - axis]
        assert dropped.sum() <= min(longest, x.shape[axis])
        assert np.count_nonzero(np.diff(np.pad(dropped.astype(int), 1)) == 1) <= 1, "more than one block"


@given(batch=st.integers(1, 70), group=st.integers(2, 40), seed=st.integers(0, 1000))
def test_mixing_adds_another_example_of_the_same_group(batch, group, seed):
    mixed = augment.AudioMixing(group=group, seed=seed)(np.eye(batch, dtype="float32"), training=True)
    _assert_mixed(np.asarray(mixed), group=group)


def test_alpha_follows_beta_5_2():
    alphas = np.diag(augment.AudioMixing(seed=1)(np.eye(6400, dtype="float32"), training=True))
    assert scipy.stats.kstest(alphas, scipy.stats.beta(5, 2).cdf).pvalue > 0.01


@given(share=st.floats(0, 1), seed=st.integers(0, 1000))
def test_weakened_draws_keep_the_partner_and_scale_the_weight_of_the_other_clip(share, seed):
    layer, clips = augment.AudioMixing(group=5), np.eye(7, dtype="float32")
    draws = np.random.default_rng(seed).uniform(size=(7, layer.draws_per_example)).astype("float32")
    full = np.asarray(layer(clips, draws, training=True))
    weak = np.asarray(layer(clips, layer.weakened(draws, share=share), training=True))
    np.testing.assert_allclose(weak, clips + share * (full - clips), atol=1e-6)


def test_all_mixing_partners_are_equally_likely():
    mixed = np.asarray(augment.AudioMixing(group=4, seed=0)(np.eye(2400, dtype="float32"), training=True))
    groups = mixed.reshape(600, 4, 600, 4)[np.arange(600), :, np.arange(600)]
    counts = (groups > 0).sum(axis=0)
    assert (np.diag(counts) == 600).all()
    assert counts[~np.eye(4, dtype=bool)].min() > 150


@given(batch=st.integers(1, 5), farthest=st.integers(0, 12), bands=st.integers(1, 8), seed=st.integers(0, 1000))
def test_a_shift_does_not_wrap_around_and_fills_with_the_floor(batch, farthest, bands, seed):
    x = _spectra(batch, 3, bands)
    shifted = augment.FrequencyShift(farthest=farthest, value=-9.0, seed=seed)(x, training=True)
    _assert_shifted(np.asarray(shifted), x, farthest=farthest)


def test_shift_is_uniform_over_its_whole_range():
    x = np.broadcast_to(np.arange(7, dtype="float32"), (7000, 1, 7))
    shifted = np.asarray(augment.FrequencyShift(farthest=2, value=-9.0, seed=3)(x, training=True))
    # Band b holds the value b, so the value in band 3 is the number of the band that moved there.
    counts = np.bincount((5 - shifted[:, 0, 3]).astype(int), minlength=5)
    assert len(counts) == 5
    assert counts.min() > 1200


@given(longest=st.integers(0, 12), size=st.integers(1, 8), axis=st.sampled_from([1, 2]), seed=st.integers(0, 1000))
def test_a_mask_replaces_one_block_and_nothing_else(longest, size, axis, seed):
    x = _spectra(6, size, 4) if axis == 1 else _spectra(6, 4, size)
    masked = augment.Mask(axis=axis, longest=longest, value=-9.0, seed=seed)(x, training=True)
    _assert_masked(np.asarray(masked), x, axis=axis, longest=longest)


def test_lengths_and_positions_of_masks_cover_their_ranges():
    x = augment.Mask(axis=1, longest=3, value=-9.0, seed=0)(np.ones((4000, 6)), training=True)
    masked = np.asarray(x) == -9.0
    assert np.bincount(masked.sum(axis=1), minlength=4).min() > 850
    assert masked.mean(axis=0).min() > 0.1


LAYERS = {
    "mixing": lambda: augment.AudioMixing(group=3, seed=0),
    "mask": lambda: augment.Mask(axis=1, longest=3, value=-9.0, seed=0),
    "shift": lambda: augment.FrequencyShift(farthest=2, value=-9.0, seed=0),
}


def _input(name):
    x = np.random.default_rng(0).normal(size=(5, 7, 6)).astype("float32")
    return x[:, 0] if name == "mixing" else x


@pytest.mark.parametrize("name", LAYERS)
def test_nothing_happens_outside_training(name):
    x = _input(name)
    np.testing.assert_array_equal(LAYERS[name]()(x), x)


@pytest.mark.parametrize("name", LAYERS)
def test_draws_follow_from_the_seed_and_differ_from_call_to_call(name):
    x, layer = _input(name), LAYERS[name]()
    again = type(layer).from_config(layer.get_config())
    first, second = (np.asarray(layer(x, training=True)) for _ in range(2))
    np.testing.assert_array_equal(again(x, training=True), first)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", LAYERS)
def test_draws_are_the_same_under_mixed_precision(name):
    x = _input(name)
    expected = LAYERS[name]()(x, training=True)
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        augmented = LAYERS[name]()(x, training=True)
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    np.testing.assert_array_equal(augmented, expected)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="on JAX, XLA compiles everything")
def test_xla_compiles_all_augmentations():
    import tensorflow as tf  # only here, because the other tests also run on JAX

    def compiled(layer, x):
        return tf.function(lambda x: layer(x, training=True), jit_compile=True)(tf.constant(x)).numpy()

    x = _spectra(6, 7, 5)
    _assert_mixed(compiled(augment.AudioMixing(group=3), np.eye(8, dtype="float32")), group=3)
    _assert_masked(compiled(augment.Mask(axis=1, longest=3, value=-9.0), x), x, axis=1, longest=3)
    _assert_shifted(compiled(augment.FrequencyShift(farthest=2, value=-9.0), x), x, farthest=2)


@pytest.mark.parametrize("name", ["spectrogram", "log_mel", "mfcc"])
def test_a_branch_of_spectra_mixes_waveforms_and_changes_bands(name):
    config = AugmentConfig(mixing=True, time_mask_seconds=0.3, frequency_mask=10, frequency_shift=20)
    front_end = frontends.build(name, ModelConfig())
    on_waveform, on_bands = augment.build(config, front_end=front_end, sample_rate=16000, mixing_group=4, seed=7)
    assert [layer.group for layer in on_waveform] == [4]
    shift, time, frequency = on_bands
    assert (shift.farthest, time.longest, time.axis, frequency.longest, frequency.axis) == (20, 30, 1, 10, 2)
    assert {layer.value for layer in on_bands} == {front_end.silence}
    assert len({layer.seed for layer in (*on_waveform, *on_bands)}) == 4


def test_a_branch_of_waveforms_is_masked_by_samples():
    front_end = frontends.build("waveform", ModelConfig())
    options = {"front_end": front_end, "sample_rate": 16000, "mixing_group": 4, "seed": None}
    on_waveform, (mask,) = augment.build(AugmentConfig(time_mask_seconds=0.3), **options)
    assert on_waveform == []
    assert (mask.longest, mask.axis, mask.value) == (4800, 1, 0.0)
    with pytest.raises(ValueError, match="a waveform has no bands"):
        augment.build(AugmentConfig(frequency_mask=1), **options)
    with pytest.raises(ValueError, match="reverb\n +Extra inputs are not permitted"):
        AugmentConfig(reverb=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: augment.AudioMixing(group=1), "at least 2"),
        (lambda: augment.Mask(axis=1, longest=-1), "0 or more"),
        (lambda: augment.FrequencyShift(farthest=-1, value=0.0), "0 or more"),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
