"""The ways in which a foreign model may be called, and how to get a vector for each window out of one."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

UNNAMED = "output_{}"
"""How TensorFlow names outputs that have no name."""

_YAMNET = [UNNAMED.format(number) for number in range(3)]
_EMBEDDING_NAMES = ("embedding", "embeddings")
_PERCH_SAMPLES, _PERCH_PEAK = 160000, 0.25
PERCH_SAMPLE_RATE = 32000
"""The sample rate of models like Perch, in Hz."""
_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call:
    """One way to call a model with sound.

    Attributes:
        title: What it is, e.g. "signature serving_default".
        input: Name of the input, or "".
        shape: Of the input: (samples,) or (batch, samples), with None where any size fits.
        run: Input -> name of an output -> array.
        unnamed_embedding: The output without a name that is the embedding by convention, or "".
    """

    title: str
    input: str
    shape: tuple[int | None, ...]
    run: Callable[[np.ndarray], Mapping[str, np.ndarray]]
    unnamed_embedding: str = ""

    @property
    def takes_batches(self) -> bool:
        """Whether the input has an axis for windows."""
        return len(self.shape) == 2

    def choose(self, outputs: Mapping[str, np.ndarray], *, wanted: str | None) -> str | None:
        """Returns the name of the output that is the embedding, or None if this is not clear.

        Args:
            outputs: What `run` has returned.
            wanted: The name that the user gave.
        """
        candidates = [name for name, values in outputs.items() if self.is_vector(values)]
        vectors = [name for name in candidates if outputs[name].ndim == 2]
        if wanted is not None:
            return wanted if wanted in candidates else None
        named = [name for name in _EMBEDDING_NAMES if name in candidates]
        if named:
            return named[0]
        if self.unnamed_embedding in candidates:
            return self.unnamed_embedding
        if len(vectors) == 1 or len(candidates) == 1:
            return (vectors if len(vectors) == 1 else candidates)[0]
        return _YAMNET[1] if self._is_yamnet(outputs) else None

    def _is_yamnet(self, outputs: Mapping[str, np.ndarray]) -> bool:
        """Whether the outputs are YAMNet's: scores, embeddings and the log-mel spectrogram, without names."""
        if self.takes_batches or sorted(outputs) != _YAMNET:
            return False
        scores, embeddings, spectrogram = (outputs[name] for name in _YAMNET)
        ranks = {values.ndim for values in (scores, embeddings, spectrogram)}
        return ranks == {2} and len(scores) == len(embeddings) <= len(spectrogram)

    def is_vector(self, values: np.ndarray) -> bool:
        """Returns whether an output holds at least one vector for each window."""
        return np.issubdtype(values.dtype, np.floating) and values.ndim >= len(self.shape)

    def is_perch(self, output: str) -> bool:
        """Whether this is a model like Perch, whose windows have 5 s at 32 kHz and the same peak."""
        known = self.title == INFER_TF or (self.input == "inputs" and output == "embedding")
        return known and self.shape[-1] == _PERCH_SAMPLES


INFER_TF = "method infer_tf"
"""Title of Perch's own way to call it."""


COLUMN = "embedding"
"""The name of the only embedding of a foreign model."""


def vectors_of(call: Call, output: str, *, faint: np.ndarray) -> Callable[[np.ndarray], Mapping[str, np.ndarray]]:
    """Returns a function from windows to vectors, float32 (windows, samples) -> `COLUMN` -> (windows, dim).

    Windows share a call if the model takes batches, returns one row for each and does not let one change the other.
    All other axes of the output, such as time, are averaged.

    Args:
        call: How to call the model.
        output: Name of the output.
        faint: A window of faint noise, (1, samples).
    """
    fixed = call.shape[0] if call.takes_batches else 1
    size = fixed
    if fixed is None and not _keeps_windows_apart(call, output, faint=faint):
        size = 1

    def embed(windows: np.ndarray) -> dict[str, np.ndarray]:
        if call.is_perch(output):
            windows = _with_perch_peak(windows)
        groups = [windows] if size is None else np.split(windows, range(size, len(windows), size))
        vectors = [_vectors(call, output, group, size=size or len(group)) for group in groups]
        return {COLUMN: np.concatenate(vectors)}

    return embed


def _vectors(call: Call, output: str, windows: np.ndarray, *, size: int) -> np.ndarray:
    """Returns the vectors of up to `size` windows, (windows, dim)."""
    # A group that is too small is filled with its own windows.
    batch = np.resize(windows, (size, windows.shape[1])) if call.takes_batches else windows[0]
    values = call.run(batch)[output]
    if size == 1:
        return values.reshape(-1, values.shape[-1]).mean(axis=0, keepdims=True)
    if len(values) != size:
        raise ValueError(f"{output} has the shape {list(values.shape)} for {size} windows")
    return values[: len(windows)].reshape(len(windows), -1, values.shape[-1]).mean(axis=1)


def _keeps_windows_apart(call: Call, output: str, *, faint: np.ndarray) -> bool:
    """Returns whether faint windows have the same vectors alone and beside a loud one.

    The faintest is 80 dB and more below the loud one, because some spectrograms are cut off there.
    """
    loud = faint / np.abs(faint).max()
    try:
        for quiet in (faint, 1e-3 * faint):
            alone = _vectors(call, output, quiet, size=1)
            together = _vectors(call, output, np.concatenate([quiet, loud]), size=2)[:1]
            if np.abs(alone - together).max() > _TOLERANCE * np.abs(alone).max():
                return False
    except Exception:  # A model that fails for two windows may raise an error of any type.
        return False
    return True


def _with_perch_peak(windows: np.ndarray) -> np.ndarray:
    """Removes the mean of each window and gives it Perch's peak, as its authors do before each call."""
    centered = windows - windows.mean(axis=1, keepdims=True)
    peaks = np.abs(centered).max(axis=1, keepdims=True)
    return np.divide(centered * _PERCH_PEAK, peaks, out=np.zeros_like(centered), where=peaks > 0)
