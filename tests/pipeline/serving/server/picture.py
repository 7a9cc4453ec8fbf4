"""Makes the picture of the page in the README: `python -m tests.pipeline.serving.server.picture MODEL OUTPUT.png`.

MODEL is the quickstart's SavedModel. The page shows a sound of the generated corpus, and its neighbors among others.
"""

import os
import pathlib
import sys
import tempfile
import time

import soundfile

from components.synthetic_audio_gen import corpus
from pipeline import cli
from tests.pipeline.serving.server import chromium
from tests.pipeline.serving.server.running import running

_SOUNDS = 160
_QUERY = 5
_RATE = 16000
_HEIGHT = 1111


def main(model, output):
    """Makes the picture."""
    model, output = os.path.abspath(model), os.path.abspath(output)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        os.chdir(folder)  # So that the page shows short paths.
        for index in range(_SOUNDS):
            _write(folder / "sounds", "train", index)
        query = _write(folder, "eval", _QUERY)
        embeddings = folder / "sounds.parquet"
        assert cli.main(["embed", "--model", model, "--output", str(embeddings), "sounds"]) == 0
        with running(model, index=embeddings) as server, chromium.opened(server.url + "/") as page:
            page.choose("#file", query)
            page.wait("!document.getElementById('result').hidden")
            time.sleep(1)  # Until the players know their lengths.
            page.screenshot(output, height=_HEIGHT)


def _write(folder, split, index):
    """Writes a sound, named by its classes, and returns its file."""
    clip = corpus.generate(split, index, seed=0, seconds=10.0, sample_rate=_RATE)
    names = "+".join(corpus.CLASSES[number].lower().replace(" ", "-") for number in clip.classes)
    file = folder / f"{names}-{index:03d}.wav"
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, clip.audio, _RATE)
    return file


if __name__ == "__main__":
    main(*sys.argv[1:])
