"""Inputs that several tests share and none changes."""

import pytest

from tests.benchmarks.rivals.contenders import CONTENDERS
from tests.components import stored_examples

CLIPS = 16


@pytest.fixture(scope="session")
def examples(tmp_path_factory):
    """A folder of 16 clips of half a second, in two classes."""
    clips = [(stored_examples.sound(i % 2, seconds=0.5, seed=i), (i % 2,), i % 5 + 1) for i in range(CLIPS)]
    folder = tmp_path_factory.mktemp("rivals") / "examples"
    return stored_examples.write_examples(folder, {"train": clips}, label_names=("tone", "noise"), has_folds=True)


@pytest.fixture(scope="session")
def small():
    """Changes that make every contender small, as fields of its config."""
    return [
        "model.encoders.log_mel=cnn6",
        "model.encoders.waveform=conv160",
        "model.width=0.015625",
        "model.widths.waveform=null",
        "model.crop_seconds=0.3",
        "batch_size=8",
    ]


@pytest.fixture(scope="session")
def config_of(small):
    return lambda name: CONTENDERS[name].config(seed=0, changes=small)
