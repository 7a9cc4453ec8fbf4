"""A loaded model as `beam_jobs.embedding.windows` takes it, which cuts sounds of any length into windows."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from diptych.runtimes.runtime import Runtime


class WindowEmbedder:
    """An `Embedder` of one window after the other.

    Args:
        runtime: The model.
        dims: Name of each embedding to return -> size.

    Attributes:
        framing: The windows.
        dims: See above.
    """

    def __init__(self, runtime: Runtime, *, dims: Mapping[str, int]):
        self.framing = runtime.info.framing
        self.dims = dims
        self._runtime = runtime

    def embed(self, windows: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        outputs = self._runtime.windows(windows)
        return {name: outputs[name][:, 0] for name in self.dims}
