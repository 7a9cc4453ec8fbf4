import pathlib

import keras
import numpy as np
import pytest
import soundfile

from components.exporter import saved_model
from models import dual
from models.config import ModelConfig
from pipeline import cli
from tests import corpora


@pytest.fixture(scope="package")
def exported(tmp_path_factory):
    """The folder of the SavedModel of a small model, which all tests here share."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("model")
    saved_model.export(dual.DualEncoder(ModelConfig(width=1 / 32, crop_seconds=0.5)), folder)
    return str(folder)


@pytest.fixture(scope="package")
def embedded(exported, tmp_path_factory):
    """A folder with tones of three pitches in `sounds/`, a class each, and `clips.parquet` and `windows.parquet`."""
    folder = tmp_path_factory.mktemp("embedded")
    for pitch, hertz in (("low", 150.0), ("middle", 900.0), ("high", 4000.0)):
        for i in range(6):
            sound = corpora.tone(seconds=1.2, hertz=hertz * (1 + i / 100))
            file = folder / "sounds" / pitch / f"{i}.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(file, sound * np.linspace(0.2, 1.0, sound.size), 16000)  # No window is like another.
    for name, flags in (("clips", []), ("windows", ["--windows"])):
        output = str(folder / f"{name}.parquet")
        assert cli.main(["embed", "--model", exported, *flags, "--output", output, str(folder / "sounds")]) == 0
    return pathlib.Path(folder)
