"""The Importer's config."""

from typing import ClassVar

import pydantic

from components.base import StageConfig
from components.location import Location


class ImporterConfig(StageConfig):
    """Which model to import."""

    # Digested by what the folder holds, so that it may be spelled otherwise or moved.
    incidental: ClassVar[frozenset[str]] = frozenset({"model"})

    model: Location = pydantic.Field(
        description="Folder of the model, written by `diptych import-panns` or by a Trainer (--import sets it)."
    )
