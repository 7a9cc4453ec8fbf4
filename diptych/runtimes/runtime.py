"""What every kind of exported model can do once it is loaded."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from components.embedding_info import EmbeddingInfo


class Frames(NamedTuple):
    """Embeddings over time.

    Attributes:
        embedding: float32 (frames, dim).
        timestamps: float32 (frames,), the middle of what each embedding describes, in seconds from the beginning.
    """

    embedding: npt.NDArray[np.float32]
    timestamps: npt.NDArray[np.float32]


class Runtime(Protocol):
    """An exported model, whatever library runs it. Several threads may call it at the same time.

    Attributes:
        info: What the model's own file tells of it.
    """

    info: EmbeddingInfo

    def windows(self, audio: npt.NDArray[np.float32]) -> Mapping[str, npt.NDArray[np.float32]]:
        """Embeds the windows of sounds.

        Args:
            audio: float32 (batch, samples) in [-1, 1] at `info.sample_rate`. `diptych.Embedder` only passes sounds of
                one window, `info.crop_samples`, so a model with a fixed input need take no others.

        Returns:
            "embedding", and the name of each encoder if the model returns those -> float32 (batch, windows, dim).
        """

    def frames(self, audio: npt.NDArray[np.float32]) -> Frames:
        """Embeds sounds over time.

        Args:
            audio: float32 (batch, samples) in [-1, 1] at `info.sample_rate`, of any length.

        Returns:
            The same with an axis for the batch in front, (batch, frames, dim) and (batch, frames).

        Raises:
            UserError: The model has none.
        """
