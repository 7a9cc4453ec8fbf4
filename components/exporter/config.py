"""The Exporter's config."""

import pydantic

from components.base import StageConfig
from components.exporter.runtimes import variants


class ExporterConfig(StageConfig):
    """How to validate the exported model, and which files to write for other runtimes."""

    validation_clips: int = pydantic.Field(
        4, ge=2, le=64, description="Number of examples to validate the SavedModel with."
    )
    tolerance: float = pydantic.Field(
        1e-4, gt=0, description="Largest difference allowed, as a share of the largest embedding value."
    )
    formats: tuple[variants.Format, ...] = pydantic.Field(
        (),
        description="Files to write beside the SavedModel: litert, onnx, or one precision of one, e.g. litert_fp16; "
        "the precisions are fp32, fp16 and int8 (dynamic).",
    )
    parity_clips: int = pydantic.Field(
        500, ge=2, description="Number of examples, a window each, with which these files are compared."
    )
