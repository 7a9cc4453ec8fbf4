"""What the models of LiteRT and of ONNX Runtime have in common: they take one window of fixed length at a time."""

import concurrent.futures
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from beam_jobs import storage
from components.embedding_info import EmbeddingInfo
from diptych.errors import DiptychError
from diptych.runtimes.runtime import Frames


class FixedWindowModel:
    """A `Runtime` that gives the model one window at a time, so that none can change another one's embedding.

    Args:
        info: Describes the model.
        embed: float32 (1, crop_samples) -> name of an embedding -> (1, dim). Several threads may call it.
        source: The model's file.
        threads: Threads that call it, each with another window.

    Attributes:
        info: See above.
    """

    def __init__(
        self,
        info: EmbeddingInfo,
        embed: Callable[[np.ndarray], Mapping[str, np.ndarray]],
        *,
        source: str,
        threads: int = 1,
    ):
        self.info = info
        self._embed = embed
        self._source = source
        self._threads = threads

    def windows(self, audio: np.ndarray) -> dict[str, np.ndarray]:
        """Embeds sounds of one window each; see `Runtime`.

        Args:
            audio: float32 (batch, crop_samples). A sound with a NaN or an infinity has an embedding of NaN.

        Raises:
            ValueError: The shape is another one.
        """
        if audio.ndim != 2 or audio.shape[1] != self.info.crop_samples:
            raise ValueError(f"audio must have the shape (batch, {self.info.crop_samples}), not {audio.shape}")
        dims = {"embedding": self.info.dim, **self.info.dims}
        outputs = {name: np.full((len(audio), 1, dim), np.nan, np.float32) for name, dim in dims.items()}
        # A quantized model would return numbers for what is no sound.
        rows = [row for row, window in enumerate(audio) if np.isfinite(window).all()]
        for row, embedded in zip(rows, self._each([audio[row : row + 1] for row in rows]), strict=True):
            for name, values in embedded.items():
                outputs[name][row] = values
        return outputs

    def _each(self, windows: Sequence[np.ndarray]) -> Iterator[Mapping[str, np.ndarray]]:
        """Yields what the model returns for each window, in order."""
        threads = min(self._threads, len(windows))
        if threads < 2:
            yield from map(self._embed, windows)
            return
        # Started for each call, because a process that is forked later has none of the threads.
        with concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="window") as pool:
            yield from pool.map(self._embed, windows)

    def frames(self, audio: np.ndarray) -> Frames:
        """Says that there are none.

        Raises:
            DiptychError: Always.
        """
        raise DiptychError(f"{self._source} embeds whole windows only: load the SavedModel for embeddings over time.")


def read(source: str) -> bytes:
    """Returns the content of a model's file.

    Raises:
        DiptychError: It cannot be read.
    """
    try:
        return storage.open_path(source).read_bytes()
    except OSError as error:
        raise DiptychError(f"{source} cannot be read ({error.strerror}).") from error
