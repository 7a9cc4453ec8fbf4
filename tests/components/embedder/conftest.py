"""What the tests of the Embedder share."""

import functools
import shutil

import numpy as np
import pytest
from etils import epath

from tests import exports, shared
from tests.components import stored_examples

CROP = 8000  # Samples, of the model in tests/exports.py.
LENGTHS = (3000, CROP - 1, CROP, CROP + 1, 12000, 12001, 30000)


@pytest.fixture(scope="package")
def artifacts(tmp_path_factory):
    """A model ("model", "saved_model") and examples of clips shorter than its crop, as long, and longer."""
    return shared.once(
        tmp_path_factory, "embedder", functools.partial(_make_artifacts, exports.small(tmp_path_factory))
    )


def _make_artifacts(trained, folder):
    folder = epath.Path(folder)
    shutil.copytree(trained, folder / "saved_model")
    initial = exports.small_model()
    for variable in initial.trainable_variables:  # The exported model is another than the initial one.
        variable.assign(1.5 * variable)
    (folder / "model").mkdir()
    initial.save(str(folder / "model" / "initial.keras"))

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
