"""Exporter: writes the SavedModel that is served, and the verdict of its InfraValidator."""

from collections.abc import Mapping
from typing import ClassVar

from components import base
from components.exporter.config import ExporterConfig


class Exporter(base.Component[ExporterConfig]):
    """Exports the encoders as a SavedModel and validates it in a fresh process.

    Writes the SavedModel with `assets.extra/embedding_info.json` (see `components.embedding_info`), golden vectors
    (`assets.extra/golden.npz`, see `golden`) and warm-up requests for TensorFlow Serving, and
    `infra_blessing.json` (`blessed`, `checks`, `latency_ms`; see `infra_validator`).
    """

    inputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "model": base.ArtifactType.MODEL,
        "examples": base.ArtifactType.EXAMPLES,
    }
    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "saved_model": base.ArtifactType.MODEL,
        "infra_blessing": base.ArtifactType.INFRA_BLESSING,
    }
    Config = ExporterConfig
    executor = "components.exporter.executor"
    version: ClassVar[int] = 3
    # They write the SavedModel.
    libraries: ClassVar[tuple[str, ...]] = ("keras", "tensorflow")
    shows: ClassVar[Mapping[base.Tab, str]] = {"text": "signatures, checks", "scalars": "latency"}
