"""The Importer's config."""

import pydantic

from components.base import StageConfig


class ImporterConfig(StageConfig):
    """Which model to import."""

    model: str = pydantic.Field(
        description="Folder of the model, written by `diptych import-panns` or by a Trainer (--import sets it)."
    )
