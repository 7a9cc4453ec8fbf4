"""ExampleValidator: holds the statistics against bounds and a schema, and writes down what is odd."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import pydantic
from etils import epath

from beam_jobs import storage
from components import base
from components.errors import UserError
from components.example_validator.anomaly import Severity

if TYPE_CHECKING:
    from components.example_validator import schema


class ExampleValidatorConfig(base.StageConfig):
    """What counts as an anomaly."""

    min_clips: int = pydantic.Field(2, ge=2, description="Fewer clips to train on are fatal: one has no negatives.")
    max_silent_share: float = pydantic.Field(0.2, ge=0, le=1, description="Warn if more clips are below -60 dBFS.")
    max_clipped_share: float = pydantic.Field(
        0.2, ge=0, le=1, description="Warn if more clips have over 0.1 % of their samples at full scale."
    )
    min_seconds: float = pydantic.Field(0.1, ge=0, description="Warn if the shortest clip is shorter, in seconds.")
    max_leaked_share: float = pydantic.Field(
        0.0, ge=0, le=1, description="Report if more clips of valid or eval sound the same as one of an earlier split."
    )
    schema_path: str | None = pydantic.Field(
        None,
        description="JSON file to compare with, a copy of the schema.json of an earlier run. The last run is always "
        "compared with, too, and null leaves that alone, which only warns.",
    )
    max_size_change: float = pydantic.Field(
        0.1, ge=0, description="Report if a split's size is off the schema's by a greater share."
    )
    max_class_drift: float = pydantic.Field(
        0.05, ge=0, le=1, description="Report if the share of a class moved further from the schema's (L-infinity)."
    )
    max_histogram_drift: float = pydantic.Field(
        0.1, ge=0, le=1, description="Report if levels or durations moved further (Jensen-Shannon divergence, bit)."
    )
    leakage: Severity = pydantic.Field("warning", description="What near duplicates between splits are.")
    class_mismatch: Severity = pydantic.Field("fatal", description="What other classes than the schema's are.")
    rate_mismatch: Severity = pydantic.Field("fatal", description="What another sample rate than the schema's is.")
    split_size: Severity = pydantic.Field("warning", description="What a changed size of a split is.")
    drift: Severity = pydantic.Field("warning", description="What drift of classes, levels or durations is.")


class ExampleValidator(base.Component):
    """Writes `anomalies.json`, a list of {"name", "severity", "message"}; severity is "fatal" or "warning".

    It raises for none of them: the Trainer refuses to start on fatal ones, and says so.

    Beside it, `schema.json` says what the present examples are like (see `schema.Schema`). Copy it to a place of your
    own, look it over, edit it, and set `example_validator.schema_path` to it: later runs are then compared with it.
    With or without one they are compared with the last run, too, and what differs from that alone is a mere warning.
    """

    inputs: ClassVar[Mapping[str, base.ArtifactType]] = {"statistics": base.ArtifactType.EXAMPLE_STATISTICS}
    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {"anomalies": base.ArtifactType.EXAMPLE_ANOMALIES}
    Config = ExampleValidatorConfig

    def check(self) -> None:
        self._kept_schema()

    def external_digests(self) -> Mapping[str, str]:
        path = self.config.schema_path
        return base.NOTHING if path is None else {"schema": storage.file_digest(path).sha256}

    def execute(
        self,
        *,
        inputs: Mapping[str, epath.Path],
        outputs: Mapping[str, epath.Path],
        context: base.StageContext,
    ) -> base.StageResult:
        from absl import logging

        from components.example_validator import checks, comparison, schema

        references = []
        if (kept := self._kept_schema()) is not None:
            references.append(comparison.kept_schema(kept))
        if (last := _last_schema(context)) is not None:
            references.append(comparison.last_run(last))
        document = json.loads((inputs["statistics"] / "statistics.json").read_text())
        anomalies = checks.find(document, references=references, config=self.config)
        (outputs["anomalies"] / "anomalies.json").write_text(json.dumps(anomalies, indent=1))
        (outputs["anomalies"] / "schema.json").write_text(schema.infer(document).model_dump_json(indent=1))
        for anomaly in anomalies:
            level = logging.ERROR if anomaly["severity"] == "fatal" else logging.WARNING
            logging.log(level, "%s", anomaly["message"])
        _summaries(anomalies, context=context)
        fatal = sum(anomaly["severity"] == "fatal" for anomaly in anomalies)
        warnings = len(anomalies) - fatal
        return base.StageResult(
            summary=f"{fatal} fatal, {warnings} warning{'s' * (warnings != 1)}" if anomalies else "no anomalies",
            figures={"fatal": fatal, "warnings": warnings},
        )

    def _kept_schema(self) -> "schema.Schema | None":
        from components.example_validator import schema

        return None if self.config.schema_path is None else schema.read(self.config.schema_path)


def _last_schema(context: base.StageContext) -> "schema.Schema | None":
    from components.example_validator import schema

    path = context.previous["anomalies"] / "schema.json" if "anomalies" in context.previous else None
    try:
        return schema.read(path) if path is not None and path.exists() else None
    except UserError:  # written by another version
        return None


def _summaries(anomalies: list[dict[str, str]], *, context: base.StageContext) -> None:
    import tensorflow as tf

    from components import tensorboard

    rows = [(anomaly["severity"], anomaly["name"], anomaly["message"]) for anomaly in anomalies]
    with tensorboard.writer(context.tensorboard_dir).as_default(step=0):
        table = tensorboard.markdown_table(("severity", "anomaly", "what"), rows) if rows else "No anomalies."
        tf.summary.text("anomalies", table)
        tf.summary.scalar("fatal", sum(row[0] == "fatal" for row in rows))
        tf.summary.scalar("warnings", sum(row[0] == "warning" for row in rows))
