"""The base class of the stages' configs."""

from collections.abc import Collection, Mapping
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
        """Returns the fields that decide what the stage writes, as JSON values. Inert ones have their defaults."""
        as_before = {name for name, value in self.added.items() if getattr(self, name) == value}
        defaults = {name: type(self).model_fields[name].default for name in self.inert()}
        return self.model_copy(update=defaults).model_dump(mode="json", exclude={*self.incidental, *as_before})

    def inert(self) -> Collection[str]:
        """Returns the fields that change nothing of what the stage writes, whether always or beside the others' values.

        Unlike incidental fields, they have been recorded as deciding. They count as their defaults, so that what was
        written with the defaults is reused.
        """
        return ()
