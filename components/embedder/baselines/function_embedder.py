"""Makes an embedder of a function."""

import threading
from collections.abc import Callable, Mapping

import numpy as np

from beam_jobs import error_text
from beam_jobs.embedding.embedder import Framing
from components.errors import UserError


class FunctionEmbedder:
    """An `Embedder` that calls a function, one call at a time, and checks what it returns.

    It calls the function once to learn the sizes of the vectors.

    Args:
        function: float32 (windows, window_samples) -> name of an embedding -> (windows, dim).
        framing: The windows that it takes.
        source: What to name in errors, e.g. a file.

    Raises:
        UserError: The function fails, or its vectors are not finite.
    """

    def __init__(self, function: Callable[[np.ndarray], Mapping[str, np.ndarray]], *, framing: Framing, source: str):
        self.framing = framing
        self._function = function
        self._source = source
        self._lock = threading.Lock()  # An interpreter of TFLite holds the input of one call.
        try:
            self.dims = {name: values.shape[1] for name, values in self.embed(faint_noise(framing)).items()}
        except UserError:
            raise
        except Exception as error:  # A model may fail with an error of any type.
            raise UserError(
                f"{source} cannot embed windows of {framing.window_samples:,} samples "
                f"({error_text.first_line(error)}): leave it out, or name another model."
            ) from error

    def embed(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        """See `Embedder.embed`.

        Raises:
            UserError: A vector is not finite.
        """
        with self._lock:
            vectors = {name: np.asarray(values, np.float32) for name, values in self._function(windows).items()}
        for name, values in vectors.items():
            wrong = int((~np.isfinite(values)).any(axis=1).sum())
            if wrong:
                raise UserError(
                    f"{self._source} gives a vector {name!r} that is not finite for {wrong} of {len(windows)} windows: "
                    "leave it out, or name another model."
                )
        return vectors


def faint_noise(framing: Framing) -> np.ndarray:
    """Returns a window of noise to try a function with, float32 (1, window_samples)."""
    return np.random.default_rng(0).normal(scale=0.01, size=(1, framing.window_samples)).astype(np.float32)


def at_sample_rate(framing: Framing, sample_rate: int) -> Framing:
    """Returns windows of the same durations at another sample rate."""
    if sample_rate == framing.sample_rate:
        return framing
    factor = sample_rate / framing.sample_rate
    return Framing(
        sample_rate=sample_rate,
        window_samples=max(1, round(framing.window_samples * factor)),
        hop_samples=max(1, round(framing.hop_samples * factor)),
    )
