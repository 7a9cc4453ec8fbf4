"""The base class of the stages' configs."""

from collections.abc import Mapping
from typing import ClassVar

from models.frozen_config import FrozenConfig


class StageConfig(FrozenConfig):
    """Base class of the stages' configs.

    Every field needs a `description`, because `diptych config` prints it.

    Class attributes:
        incidental: Fields that do not decide what the stage writes, such as where a Beam job runs. Changing them does
            not rerun the stage, and an interrupted stage resumes with other values of them.
        added: Field that an earlier release of the stage did not have -> the value with which it writes what it wrote
            then. A field with this value does not decide, so that an update reruns nothing. The value never changes,
            also if the default does.
    """

    incidental: ClassVar[frozenset[str]] = frozenset()
    added: ClassVar[Mapping[str, object]] = {}

    def deciding(self) -> dict[str, object]:
        """Returns the fields that decide what the stage writes, as JSON values."""
        as_before = {name for name, value in self.added.items() if getattr(self, name) == value}
        return self.model_dump(mode="json", exclude={*self.incidental, *as_before})
