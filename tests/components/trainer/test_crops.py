import numpy as np
import pytest

from components.trainer import crops, train
from tests.components.trainer import trainer_runs


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


@pytest.mark.parametrize(
    ("seconds", "short_clips", "are_equal"),
    [(0.9, "tile", False), (1.0, "tile", True), (1.1, "tile", False), (1.1, "pad", True)],
)
def test_crops_without_room_in_their_clips_are_warned_of(inputs, caplog, seconds, short_clips, are_equal):
    """The clips are 1 s long."""
    config = trainer_runs.config(model__crop_seconds=seconds, short_clips=short_clips)
    options = train._input_options(config, crop_samples=round(16000 * seconds))
    train._validation_batch(config, options, examples_dir=inputs["examples"])
    said = [record.getMessage() for record in caplog.records]
    if are_equal:
        (message,) = said
        assert "in 5 of 5 valid clips, " in message
        assert message.endswith(f": make trainer.model.crop_seconds={seconds:g} shorter than the clips")
    else:
        assert said == []
