"""What the tests of the Embedder share."""

import keras
import numpy as np
import pytest
from etils import epath

from components.exporter import saved_model
from models import dual
from models.config import ModelConfig
from tests import shared
from tests.components import stored_examples

CROP = 8000  # Samples.
LENGTHS = (3000, CROP - 1, CROP, CROP + 1, 12000, 12001, 30000)


@pytest.fixture(scope="package")
def artifacts(tmp_path_factory):
    """A model ("model", "saved_model") and examples of clips shorter than its crop, as long, and longer."""
    return shared.once(tmp_path_factory, "embedder", _make_artifacts)


def _make_artifacts(folder):
    folder = epath.Path(folder)
    keras.utils.set_random_seed(0)
    model = dual.DualEncoder(ModelConfig(formats="waveform+log_mel", width=0.03125, crop_seconds=CROP / 16000))
    (folder / "model").mkdir()
    model.save(str(folder / "model" / "initial.keras"))
    for variable in model.trainable_variables:  # The exported model is another than the initial one.
        variable.assign(1.5 * variable)
    saved_model.export(model, folder / "saved_model")

    def clips(count):
        return [
            (np.resize(stored_examples.sound(k % 2, seed=k), LENGTHS[k % len(LENGTHS)]), (k % 2,), k % 5 + 1)
            for k in range(count)
        ]

    stored_examples.write_examples(
        folder / "examples",
        {"train": clips(14), "eval": clips(7)},
        label_names=("tone", "noise"),
        has_folds=True,
        shards=2,
    )
    return {name: folder / name for name in ("examples", "model", "saved_model")}
