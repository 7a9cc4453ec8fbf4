"""Makes an embedder of a function."""

import threading
from collections.abc import Callable, Mapping

import numpy as np

from beam_jobs import error_text
from beam_jobs.embedding.embedder import Framing
from components.errors import UserError


class FunctionEmbedder:
    """An `Embedder` that calls a function, one call at a time.

    It calls the function once to learn the sizes of the vectors, and checks what it returns. What is not finite for
    some other sound is found where the vectors are stored, which names the clip.

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
        self._lock = threading.Lock()  # An interpreter of TFLite holds the input of one call.
        try:
            vectors = self.embed(faint_noise(framing))
        except Exception as error:  # A model may fail with an error of any type.
            raise UserError(
                f"{source} cannot embed windows of {framing.window_samples:,} samples "
                f"({error_text.first_line(error)}): leave it out, or name another model."
            ) from error
        for name, values in vectors.items():
            if not np.isfinite(values).all():
                raise UserError(
                    f"{source} gives a vector {name!r} that is not finite for faint noise: leave it out, or name "
                    "another model."
                )
        self.dims = {name: values.shape[1] for name, values in vectors.items()}

    def embed(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        """See `Embedder.embed`."""
        with self._lock:
            return {name: np.asarray(values, np.float32) for name, values in self._function(windows).items()}


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
