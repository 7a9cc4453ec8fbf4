"""Type aliases."""

from collections.abc import Sequence
from typing import Any

Tensor = Any  # a tensor of Keras' current backend, or anything that Keras converts to one
Shape = Sequence[int | None]
