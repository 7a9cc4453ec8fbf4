"""An embedder that needs no TensorFlow, and a program that embeds with it: `python -m ... OUTPUT CLIPS PATH...`."""

import dataclasses
import sys

import numpy as np

from beam_jobs.embedding.embedder import Framing
from pipeline.serving.embedding import embed, groups

FRAMING = Framing(sample_rate=16000, window_samples=4000, hop_samples=2000)
DIMS = {"first": 3, "second": 2}


@dataclasses.dataclass(frozen=True)
class ProjectionLoader:
    """Loads an embedder that projects windows onto random directions."""

    seed: int = 0
    name: str = "projection"
    source: str = "a projection"
    runs_on: str = "numpy 1"

    def load(self):
        return Projection(self.seed)

    def library(self):
        return self.runs_on

    def digest(self):
        return f"projection {self.seed}"


class Projection:
    """Projects windows onto random directions, and counts them."""

    framing = FRAMING
    dims = DIMS

    def __init__(self, seed=0):
        self._directions = np.random.default_rng(seed).normal(size=(FRAMING.window_samples, 5)).astype(np.float32)
        self.windows = 0

    def embed(self, windows):
        self.windows += len(windows)
        vectors = windows @ self._directions
        return {"first": vectors[:, :3], "second": vectors[:, 3:]}


class NoProgress:
    """A `components.base.Progress` that shows nothing."""

    def update(self, done, *, total, unit, **figures):
        """Does nothing."""


def embed_with(loader, paths, output, *, progress=None, **parameters):
    """Calls `embed.embed`."""
    parameters = {"row": "clip", "restart": False, **parameters}
    return embed.embed(
        loader, list(map(str, paths)), output=str(output), progress=progress or NoProgress(), **parameters
    )


if __name__ == "__main__":
    groups.MOST_CLIPS = int(sys.argv[2])
    embed_with(ProjectionLoader(), sys.argv[3:], sys.argv[1])
