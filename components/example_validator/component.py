"""ExampleValidator: compares the statistics with bounds and a schema, and reports anomalies."""

from collections.abc import Mapping
from typing import ClassVar

from beam_jobs import storage
from components import base
from components.example_validator import schema
from components.example_validator.config import ExampleValidatorConfig


class ExampleValidator(base.Component[ExampleValidatorConfig]):
    """Writes `anomalies.json`, a list of {"name", "severity", "message"} with the severity "fatal" or "warning".

    The stage succeeds whatever it finds. The Trainer refuses to start if an anomaly is fatal.

    The stage also writes `schema.json`, which describes the present examples (see `schema.Schema`). To compare later
    runs with it, copy it, review and edit the copy, and set `example_validator.schema_path`. The statistics are also
    compared with the last different ones. Differences from those alone are only warnings.
    """

    inputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "statistics": base.ArtifactType.EXAMPLE_STATISTICS,
        "last_statistics": base.ArtifactType.EXAMPLE_STATISTICS,
    }
    optional_inputs: ClassVar[frozenset[str]] = frozenset({"last_statistics"})
    earlier_inputs: ClassVar[Mapping[str, str]] = {"last_statistics": "statistics"}
    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {"anomalies": base.ArtifactType.EXAMPLE_ANOMALIES}
    Config = ExampleValidatorConfig
    executor = "components.example_validator.executor"
    version: ClassVar[int] = 2
    shows: ClassVar[Mapping[base.Tab, str]] = {"text": "anomalies", "scalars": "their number"}

    def check(self) -> None:
        if self.config.schema_path is not None:
            schema.read(self.config.schema_path)

    def read_paths(self) -> Mapping[str, str]:
        return {} if self.config.schema_path is None else {"schema": self.config.schema_path}

    def external_digests(self) -> Mapping[str, str]:
        if self.config.schema_path is None:
            return {}
        return {"schema": storage.file_digest(self.config.schema_path).sha256}
