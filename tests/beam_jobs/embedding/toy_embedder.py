"""An embedder without TensorFlow, and the slow computation of what it makes of a sound."""

import dataclasses
import pathlib
import time

import numpy as np

from beam_jobs.embedding.embedder import Framing

FRAMING = Framing(sample_rate=16000, window_samples=1000, hop_samples=400)


class ToyEmbedder:
    """Two embeddings of a window: its mean and deviation, and three of its samples."""

    dims = {"moments": 2, "samples": 3}

    def __init__(self, framing, *, scale=1.0, seconds=0.0):
        self.framing = framing
        self._scale = scale
        self._seconds = seconds

    def embed(self, windows):
        time.sleep(self._seconds)
        moments = np.stack([windows.mean(axis=1), windows.std(axis=1)], axis=1) * np.float32(self._scale)
        return {"moments": moments, "samples": windows[:, [0, windows.shape[1] // 2, -1]]}


@dataclasses.dataclass(frozen=True)
class ToyLoader:
    """Loads it.

    Attributes:
        name: Name of the embedder.
        framing: Its windows.
        scale: Of its first embedding; a large one is more than float16 holds.
        seconds: How long it takes for a batch.
        log: A file that gets a line whenever an embedder is loaded, or "".
    """

    name: str = "toy"
    framing: Framing = FRAMING
    scale: float = 1.0
    seconds: float = 0.0
    log: str = ""

    def load(self):
        if self.log:
            with pathlib.Path(self.log).open("a") as file:
                file.write("loaded\n")
        return ToyEmbedder(self.framing, scale=self.scale, seconds=self.seconds)

    def digest(self):
        return f"{self.name} {self.framing} {self.scale}"


def slow_vectors(audio, framing=FRAMING):
    """Returns the starts and the vectors of the windows of int16 (samples,), computed window by window."""
    wave = audio.astype(np.float32) / 32768
    starts = [0]
    while starts[-1] + framing.window_samples < len(wave):
        starts.append(min(starts[-1] + framing.hop_samples, len(wave) - framing.window_samples))
    windows = []
    for start in starts:
        window = wave[start : start + framing.window_samples]
        while len(window) < framing.window_samples:
            window = np.concatenate([window, wave])[: framing.window_samples]
        windows.append(window)
    vectors = [ToyEmbedder(framing).embed(window[None]) for window in windows]
    return starts, {name: np.concatenate([each[name] for each in vectors]) for name in ToyEmbedder.dims}
