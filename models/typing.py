"""Types of arguments and results."""

from collections.abc import Sequence
from typing import Any

Tensor = Any  # a tensor of the Keras backend in use, or what it converts
Shape = Sequence[int | None]
