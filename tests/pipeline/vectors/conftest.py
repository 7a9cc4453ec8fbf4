import functools

import numpy as np
import pytest
import soundfile

from pipeline import cli
from tests import corpora, shared


@pytest.fixture(scope="package")
def embedded(exported, tmp_path_factory):
    """A folder with tones of three pitches in `sounds/`, a class each, and `clips.parquet` and `windows.parquet`."""
    return shared.once(tmp_path_factory, "embedded", functools.partial(_embed, exported))


def _embed(model, folder):
    for pitch, hertz in (("low", 150.0), ("middle", 900.0), ("high", 4000.0)):
        for i in range(6):
            sound = corpora.tone(seconds=1.2, hertz=hertz * (1 + i / 100))
            file = folder / "sounds" / pitch / f"{i}.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(file, sound * np.linspace(0.2, 1.0, sound.size), 16000)  # No window is like another.
    for name, flags in (("clips", []), ("windows", ["--windows"])):
        output = str(folder / f"{name}.parquet")
        assert cli.main(["embed", "--model", model, *flags, "--output", output, str(folder / "sounds")]) == 0
    return folder
