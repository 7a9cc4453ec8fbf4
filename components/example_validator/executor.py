"""Runs ExampleValidator: finds the anomalies, infers the schema of the present examples and writes both."""

import dataclasses
import json
from collections.abc import Mapping

from absl import logging
from etils import epath

from beam_jobs.statistics import example_statistics
from components import base, text
from components.example_validator import checks, comparison, schema, summaries
from components.example_validator.config import ExampleValidatorConfig

_SCHEMA_FILE = "schema.json"


def execute(
    config: ExampleValidatorConfig,
    *,
    inputs: Mapping[str, epath.Path],
    outputs: Mapping[str, epath.Path],
    context: base.StageContext,
) -> base.StageResult:
    """Writes and logs the anomalies, and writes the schema.

    Raises:
        UserError: The file `schema_path` of the config is missing or malformed.
    """
    statistics = example_statistics.read(inputs["statistics"])
    anomalies = checks.find_anomalies(statistics, references=_references(config, inputs), config=config)
    folder = outputs["anomalies"]
    document = [dataclasses.asdict(anomaly) for anomaly in anomalies]
    (folder / "anomalies.json").write_text(json.dumps(document, indent=1))
    (folder / _SCHEMA_FILE).write_text(schema.infer(statistics).model_dump_json(indent=1))
    for anomaly in anomalies:
        logging.log(logging.ERROR if anomaly.severity == "fatal" else logging.WARNING, "%s", anomaly.message)
    summaries.write(anomalies, directory=context.tensorboard_dir)

    fatal = sum(anomaly.severity == "fatal" for anomaly in anomalies)
    warnings = len(anomalies) - fatal
    summary = f"{fatal} fatal, {text.plural(warnings, 'warning')}" if anomalies else "no anomalies"
    return base.StageResult(summary=summary, figures={"fatal": fatal, "warnings": warnings})


def _references(config: ExampleValidatorConfig, inputs: Mapping[str, epath.Path]) -> list[comparison.Reference]:
    """Returns what to compare the examples with: the schema that the user keeps, then the last different examples."""
    references = []
    if config.schema_path is not None:
        references.append(comparison.kept_schema(schema.read(config.schema_path)))
    last = _last_schema(inputs)
    if last is not None:
        references.append(comparison.last_run(last))
    return references


def _last_schema(inputs: Mapping[str, epath.Path]) -> schema.Schema | None:
    if "last_statistics" not in inputs:
        return None
    try:
        return schema.infer(example_statistics.read(inputs["last_statistics"]))
    except (KeyError, TypeError, ValueError):  # Another version of Diptych wrote the statistics.
        return None
