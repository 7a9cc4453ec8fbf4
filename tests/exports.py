"""A small model that the Exporter has exported, once for all processes of a test run, because that takes long."""

import keras
import pytest

from components.exporter import Exporter, ExporterConfig, infra_validator
from models import dual
from models.config import EncodersConfig, ModelConfig
from tests import shared
from tests.components import harness, stored_examples

CLIPS = 6  # The InfraValidator embeds four at a time.


def small_model():
    """Builds the model, with the same weights each time. Its encoders have the fewest layers, which load fastest."""
    keras.utils.set_random_seed(0)
    encoders = EncodersConfig(waveform="conv160", log_mel="cnn6")
    return dual.DualEncoder(ModelConfig(encoders=encoders, width=1 / 32, crop_seconds=0.5))


def execution(tmp_path_factory):
    """Returns the execution of the Exporter, and what the fresh process of its InfraValidator has answered.

    Tests share its files, and copy them before they change anything.
    """
    return shared.once(tmp_path_factory, "small", _export)


def small(tmp_path_factory):
    """Returns the folder of the SavedModel, as a string."""
    run, _ = execution(tmp_path_factory)
    return str(run.outputs["saved_model"])


def _export(folder):
    (folder / "model").mkdir()
    small_model().save(folder / "model" / "model.keras")
    clips = [(stored_examples.sound(k % 2, seed=k, seconds=1.0 + 0.1 * k), (), 0) for k in range(CLIPS)]
    examples = stored_examples.write_examples(folder / "examples", {"train": clips[:3], "valid": clips[3:]})
    serve_once, answers = infra_validator._serve_once, {}

    def recorded(*args, **options):
        answers.update(serve_once(*args, **options))
        return answers

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(infra_validator, "_serve_once", recorded)
        exporter = Exporter(ExporterConfig(validation_clips=CLIPS))
        run = harness.execute(exporter, folder, model=folder / "model", examples=examples)
    return run, answers
