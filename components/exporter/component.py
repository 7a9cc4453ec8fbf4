"""Exporter: writes the SavedModel that is served, and the verdict of its InfraValidator."""

from collections.abc import Mapping
from typing import ClassVar

from beam_jobs import command_lines
from components import base
from components.errors import UserError
from components.exporter.config import ExporterConfig
from components.exporter.runtimes import variants


class Exporter(base.Component[ExporterConfig]):
    """Exports the encoders as a SavedModel and validates it in a fresh process.

    Writes the SavedModel with `assets.extra/embedding_info.json` (see `components.embedding_info`), golden vectors
    (`assets.extra/golden.npz`, see `golden`) and warm-up requests for TensorFlow Serving, and
    `infra_blessing.json` (`blessed`, `checks`, `latency_ms`; see `infra_validator`). The SavedModel's folder also gets
    the files that `formats` asks for, in `runtimes/`, with a table of how they compare; see `runtimes`.
    """

    inputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "model": base.ArtifactType.MODEL,
        "examples": base.ArtifactType.EXAMPLES,
    }
    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "saved_model": base.ArtifactType.MODEL,
        "infra_blessing": base.ArtifactType.INFRA_BLESSING,
    }
    # Their times differ from run to run.
    reports: ClassVar[frozenset[str]] = frozenset({variants.TABLE, variants.FIGURES})
    Config = ExporterConfig
    executor = "components.exporter.executor"
    version: ClassVar[int] = 6
    shows: ClassVar[Mapping[base.Tab, str]] = {"text": "signatures, checks, other runtimes", "scalars": "latency"}

    @property
    def libraries(self) -> tuple[str, ...]:
        """Those that write the SavedModel and the `.tflite` files, and those that write the `.onnx` files, if any."""
        of_onnx = variants.ONNX_WRITERS if any(each.runtime == "onnx" for each in self._files) else ()
        return ("keras", "tensorflow", *of_onnx)

    @property
    def _files(self) -> list[variants.Variant]:
        return variants.parse(self.config.formats)

    def check(self) -> None:
        missing = variants.missing_packages(self._files)
        if missing:
            raise UserError(
                f"exporter.formats: {', '.join(self.config.formats)} needs {', '.join(missing)}: run "
                f"`{command_lines.pip_install(*missing)}`, or leave it out."
            )
