"""What turns windows of sound into vectors: a trained model, its untrained self, or a baseline."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from models import subclip_starts

if TYPE_CHECKING:  # A stage's config and component, which import this module, do without NumPy.
    import numpy as np


TRAINED = "trained"
"""Name of the embedder that is the model itself; the others are what it is compared with."""

BATCH_SIZE = 8
"""Windows in a batch. On CPUs, where the caches hold what so few of them take, small encoders then are fastest."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Framing:
    """How a sound is cut into windows of equal length.

    Attributes:
        sample_rate: In Hz.
        window_samples: Length of a window.
        hop_samples: Distance between the starts of two windows. The last one is moved back to end with the sound.
    """

    sample_rate: int
    window_samples: int
    hop_samples: int

    def starts(self, samples: int) -> list[int]:
        """Returns the first sample of each window of a sound; a sound no longer than a window has one."""
        return subclip_starts.subclip_starts(samples, crop=self.window_samples, stride=self.hop_samples)


class Embedder(Protocol):
    """Turns windows of sound into vectors.

    Attributes:
        framing: The windows that it takes.
        dims: Name of each of its embeddings -> size.
    """

    framing: Framing
    dims: Mapping[str, int]

    def embed(self, windows: "np.ndarray") -> "Mapping[str, np.ndarray]":
        """Embeds windows. The vector of a window does not depend on the other windows.

        Args:
            windows: float32 (windows, window_samples) in [-1, 1].

        Returns:
            Name of the embedding -> float32 (windows, dim).
        """


class Loader(Protocol):
    """Loads an embedder in the process that uses it. It is small and can be pickled, so that Beam can send it.

    Attributes:
        name: Name of the embedder, e.g. "untrained"; also of its folder in the embeddings.
    """

    name: str

    def load(self) -> Embedder:
        """Loads the embedder, which may take seconds and import TensorFlow.

        Raises:
            UserError: A file that it needs is missing or is not what it should be.
        """

    def digest(self) -> str:
        """Returns a digest of all that decides the vectors: of weights and of settings."""
