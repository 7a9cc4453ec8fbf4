"""ExampleValidator: holds the statistics against thresholds and writes down what is odd."""

import json
from collections.abc import Mapping
from typing import ClassVar

import pydantic
from etils import epath

from components import base


class ExampleValidatorConfig(base.StageConfig):
    """What counts as an anomaly."""

    min_clips: int = pydantic.Field(2, ge=2, description="Fewer clips to train on are fatal: one has no negatives.")
    max_silent_share: float = pydantic.Field(0.2, ge=0, le=1, description="Warn if more clips are below -60 dBFS.")
    max_clipped_share: float = pydantic.Field(
        0.2, ge=0, le=1, description="Warn if more clips have over 0.1 % of their samples at full scale."
    )
    min_seconds: float = pydantic.Field(0.1, ge=0, description="Warn if the shortest clip is shorter, in seconds.")


class ExampleValidator(base.Component):
    """Writes `anomalies.json`, a list of {"name", "severity", "message"}; severity is "fatal" or "warning".

    It raises for none of them: the Trainer refuses to start on fatal ones, and says so.
    """

    inputs: ClassVar[Mapping[str, base.ArtifactType]] = {"statistics": base.ArtifactType.EXAMPLE_STATISTICS}
    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {"anomalies": base.ArtifactType.EXAMPLE_ANOMALIES}
    Config = ExampleValidatorConfig

    def execute(
        self,
        *,
        inputs: Mapping[str, epath.Path],
        outputs: Mapping[str, epath.Path],
        context: base.StageContext,
    ) -> base.StageResult:
        from absl import logging

        from components.example_validator import checks

        document = json.loads((inputs["statistics"] / "statistics.json").read_text())
        anomalies = checks.find(document, config=self.config)
        (outputs["anomalies"] / "anomalies.json").write_text(json.dumps(anomalies, indent=1))
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


def _summaries(anomalies: list[dict[str, str]], *, context: base.StageContext) -> None:
    import tensorflow as tf

    from components import tensorboard

    rows = [(anomaly["severity"], anomaly["name"], anomaly["message"]) for anomaly in anomalies]
    with tensorboard.writer(context.tensorboard_dir).as_default(step=0):
        table = tensorboard.markdown_table(("severity", "anomaly", "what"), rows) if rows else "No anomalies."
        tf.summary.text("anomalies", table)
        tf.summary.scalar("fatal", sum(row[0] == "fatal" for row in rows))
        tf.summary.scalar("warnings", sum(row[0] == "warning" for row in rows))
