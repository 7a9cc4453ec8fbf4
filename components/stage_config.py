"""The base class of the stages' configs."""

from typing import ClassVar

import pydantic


class StageConfig(pydantic.BaseModel):
    """Base class of the stages' configs. Configs are immutable, and unknown fields or wrong types are errors.

    Every field needs a `description`, because `diptych config` prints it.

    Class attributes:
        incidental: Fields that do not decide what the stage writes, such as where a Beam job runs. Changing them does
            not rerun the stage, and an interrupted stage resumes with other values of them.
        added: Fields that an earlier release of the stage did not have, and with whose defaults it writes what it wrote
            then. At their defaults they do not decide, so that an update reruns nothing.
    """

    incidental: ClassVar[frozenset[str]] = frozenset()
    added: ClassVar[frozenset[str]] = frozenset()

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    def deciding(self) -> dict[str, object]:
        """Returns the fields that decide what the stage writes, as JSON values."""
        fields = type(self).model_fields
        as_before = {name for name in self.added if getattr(self, name) == fields[name].default}
        return self.model_dump(mode="json", exclude={*self.incidental, *as_before})
