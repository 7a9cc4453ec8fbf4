import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from tensorboard.backend.event_processing import event_accumulator

from components.trainer import summaries
from components.trainer.model import build_model
from tests.components.trainer import trainer_runs


@pytest.mark.parametrize("formats", ["waveform+spectrogram", "log_mel+mfcc", "log_mel+log_mel"])
def test_the_inputs_of_both_encoders_can_be_seen_and_heard(formats, tmp_path):
    config = trainer_runs.config(
        model__formats=formats,
        model__share_encoder=False,
        model__augment_a__time_mask_seconds=0.1,
        model__augment_b__frequency_mask=5,
    )
    batch = {name: np.ones((5, 8000), np.int16) for name in "ab"} | {"clip_id": tf.constant(["clip"] * 5)}
    log = summaries.TrainingLog(epath.Path(tmp_path), history=epath.Path(tmp_path / "history.csv"), first=0)
    log.encoder_inputs(build_model(config.model, seed=0), batch)
    log.close(epath.Path(tmp_path / "copy.csv"))
    pictures = {name: "log_mel" if name == "waveform" else "spectrum" for name in formats.split("+")}
    expected = {
        f"views/{i}_{branch}_{name}/{kind}"
        for i in range(4)
        for branch, name in zip("ab", formats.split("+"), strict=True)
        for kind in ("audio", pictures[name])
    }
    assert _tags(tmp_path) == expected


def _tags(folder):
    events = event_accumulator.EventAccumulator(str(folder))
    events.Reload()
    return {tag for tags in events.Tags().values() if isinstance(tags, list) for tag in tags}
