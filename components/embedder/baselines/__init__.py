"""The embedders that a model is compared with."""

from beam_jobs.embedding.embedder import Framing, Loader
from components.embedder.baselines.mfcc_loader import MfccLoader
from components.errors import UserError

__all__ = ["parse"]


def parse(spec: str, *, framing: Framing) -> Loader:
    """Returns the loader of a baseline.

    Args:
        spec: Its name, or NAME=PATH for one that is read from a file.
        framing: The windows of the compared model, which a baseline without windows of its own takes over.

    Raises:
        UserError: There is no such baseline.
    """
    if spec != MfccLoader.name:
        raise UserError(f"baseline {spec!r}: there is no such baseline, only {MfccLoader.name}.")
    return MfccLoader(framing)
