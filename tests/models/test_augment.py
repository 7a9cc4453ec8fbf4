import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import augment


def _spectra(batch, frames, bands):
    """Every value differs from every other, and none is the floor."""
    return np.arange(1, batch * frames * bands + 1, dtype="float32").reshape(batch, frames, bands)


@given(batch=st.integers(1, 70), group=st.integers(2, 40), seed=st.integers(0, 1000))
def test_mixing_takes_another_example_of_the_same_group(batch, group, seed):
    x = np.eye(batch, dtype="float32")  # each row names its example
    mixed = np.asarray(augment.AudioMixing(group=group, seed=seed)(x, training=True))
    np.testing.assert_allclose(mixed.sum(axis=1), 1.0, rtol=1e-5)
    for i, row in enumerate(mixed):
        start = i // group * group
        size = min(start + group, batch) - start
        partners = [int(j) for j in np.flatnonzero(row) if j != i]
        assert len(partners) == (0 if size == 1 else 1)
        assert all(start <= j < start + size for j in partners)


def test_mixing_share_is_beta_5_2():
    shares = np.diag(augment.AudioMixing(seed=1)(np.eye(6400, dtype="float32"), training=True))
    assert shares.mean() == pytest.approx(5 / 7, abs=0.01)
    assert shares.var() == pytest.approx(5 * 2 / (7**2 * 8), abs=0.003)


def test_mixing_draws_every_partner_alike():
    x, layer = np.eye(4, dtype="float32"), augment.AudioMixing(group=4, seed=0)
    counts = sum((np.asarray(layer(x, training=True)) > 0).astype(int) for _ in range(600)) - 600 * np.eye(4)
    assert counts[~np.eye(4, dtype=bool)].min() > 140


@given(farthest=st.integers(0, 12), bands=st.integers(1, 8), seed=st.integers(0, 1000))
def test_shift_truncates_and_fills_with_the_floor(farthest, bands, seed):
    x = _spectra(5, 3, bands)
    shifted = np.asarray(augment.FrequencyShift(farthest=farthest, value=-9.0, seed=seed)(x, training=True))
    for before, after in zip(x, shifted, strict=True):
        candidates = []
        for shift in range(-farthest, farthest + 1):
            moved = np.full_like(before, -9.0)
            if abs(shift) < bands:
                moved[:, max(shift, 0) : bands + min(shift, 0)] = before[:, max(-shift, 0) : bands - max(shift, 0)]
            candidates.append(moved)
        assert any(np.array_equal(after, candidate) for candidate in candidates)


def test_shift_is_uniform_over_its_whole_range():
    x = np.broadcast_to(np.arange(7, dtype="float32"), (7000, 1, 7))
    shifted = np.asarray(augment.FrequencyShift(farthest=2, value=-9.0, seed=3)(x, training=True))
    counts = np.bincount((5 - shifted[:, 0, 3]).astype(int), minlength=5)  # band 3 shows the band it came from
    assert len(counts) == 5
    assert counts.min() > 1200


@given(longest=st.integers(0, 12), size=st.integers(1, 8), axis=st.sampled_from([1, 2]), seed=st.integers(0, 1000))
def test_mask_drops_one_block_and_leaves_the_rest(longest, size, axis, seed):
    x = _spectra(6, size, 4) if axis == 1 else _spectra(6, 4, size)
    masked = np.asarray(augment.Mask(axis=axis, longest=longest, value=-9.0, seed=seed)(x, training=True))
    for before, after in zip(x, masked, strict=True):
        dropped = (after == -9.0).all(axis=2 - axis)
        np.testing.assert_array_equal(after[after != -9.0], before[after != -9.0])
        assert dropped.sum() == (after == -9.0).sum() // after.shape[2 - axis]
        assert dropped.sum() <= min(longest, size)
        assert np.count_nonzero(np.diff(np.pad(dropped.astype(int), 1)) == 1) <= 1, "more than one block"


def test_mask_lengths_and_places_cover_their_range():
    masked = np.asarray(augment.Mask(axis=1, longest=3, value=-9.0, seed=0)(np.ones((4000, 6)), training=True))
    dropped = masked == -9.0
    assert np.bincount(dropped.sum(axis=1), minlength=4).min() > 850
    assert dropped.mean(axis=0).min() > 0.1


@pytest.mark.parametrize(
    "layer",
    [
        augment.AudioMixing(seed=0),
        augment.Mask(axis=1, longest=3, seed=0),
        augment.FrequencyShift(farthest=2, value=0.0, seed=0),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_nothing_happens_outside_training_and_config_round_trips(layer):
    x = _spectra(4, 3, 5)
    np.testing.assert_array_equal(layer(x), x)
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_the_same_seed_draws_the_same():
    x = _spectra(4, 3, 5)
    first, second = (np.asarray(augment.Mask(axis=1, longest=3, seed=5)(x, training=True)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


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
