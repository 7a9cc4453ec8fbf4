"""The Exporter's config."""

import pydantic

from components.base import StageConfig


class ExporterConfig(StageConfig):
    """How to validate the exported model."""

    validation_clips: int = pydantic.Field(
        4, ge=2, le=64, description="Number of examples to validate the SavedModel with."
    )
    tolerance: float = pydantic.Field(
        1e-4, gt=0, description="Largest difference allowed, as a share of the largest embedding value."
    )
