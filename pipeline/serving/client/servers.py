"""A server that has a model."""

import dataclasses
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from beam_jobs.embedding.embedder import Framing
from components.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Described:
    """What a client needs to know of a model.

    Attributes:
        framing: The windows that it takes.
        dims: Name of each of its embeddings -> size.
    """

    framing: Framing
    dims: Mapping[str, int]


class Server(Protocol):
    """A server that has a model.

    Attributes:
        url: Its address, as the user gave it.
        name: The name of the model there.
    """

    url: str
    name: str

    def newest_version(self) -> int:
        """Returns the version that the server uses if a request names none.

        Raises:
            UserError: The server does not answer, or has no such model.
        """

    def described(self, version: int) -> Described | None:
        """Returns what the server tells of the model; None if it tells nothing, as TensorFlow Serving does."""

    def predict(self, audio: np.ndarray, *, version: int) -> Mapping[str, np.ndarray]:
        """Calls the signature `serving_default`. What may pass is tried again.

        Args:
            audio: float32 (clips, samples) in [-1, 1].
            version: The version to call.

        Returns:
            Name of an output -> float32 (clips, dim).

        Raises:
            UserError: The server does not answer, or refuses.
        """


def unreachable(url: str, reason: str) -> UserError:
    """Returns the error of a server that does not answer."""
    return UserError(f"--server {url} does not answer ({reason}): start it, or correct the address.")


def refused(url: str, reason: str) -> UserError:
    """Returns the error of a server that does not do what it is asked."""
    return UserError(f"--server {url} refuses: {reason.rstrip('.')}: ask it for what it has, or start it anew.")


def too_large(url: str, reason: str) -> UserError:
    """Returns the error of a server that takes no request of this size."""
    return UserError(
        f"--server {url} takes no request of this size ({reason.rstrip('.')}): give a smaller --batch-size, or start "
        "it with larger limits."
    )
