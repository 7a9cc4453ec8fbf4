import numpy as np
import pytest

from components.trainer import crops


@pytest.mark.parametrize(("length", "crop_samples"), [(1, 5), (3, 10), (10, 10), (11, 10), (7, 13)])
def test_short_clips_are_tiled_or_padded(length, crop_samples):
    audio = np.arange(1, length + 1, dtype=np.int16)
    for seed in range(20):
        arguments = {"crop_samples": crop_samples, "seed": [seed, 0]}
        tiled = crops.random_crop(audio, **arguments, short_clips="tile").numpy()
        np.testing.assert_array_equal(tiled, (tiled[0] - 1 + np.arange(crop_samples)) % length + 1)
        padded = crops.random_crop(audio, **arguments, short_clips="pad").numpy()
        kept = min(length, crop_samples)
        np.testing.assert_array_equal(np.diff(padded[:kept]), 1)
        np.testing.assert_array_equal(padded[kept:], 0)


def test_every_crop_can_be_drawn():
    audio = np.arange(4, dtype=np.int16)
    starts = {int(crops.random_crop(audio, crop_samples=3, seed=[i, 0])[0]) for i in range(50)}
    assert starts == {0, 1}
