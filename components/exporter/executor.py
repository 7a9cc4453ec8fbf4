"""Executes the Exporter: writes the SavedModel, validates it and reports the result."""

import dataclasses
import itertools
import json
from collections.abc import Mapping

from etils import epath

from components import base
from components.embedding_info import EmbeddingInfo
from components.exporter import infra_validator, saved_model, summaries
from components.exporter.config import ExporterConfig
from components.exporter.infra_validator import InfraBlessing
from components.exporter.runtimes import variants


def execute(
    config: ExporterConfig,
    *,
    inputs: Mapping[str, epath.Path],
    outputs: Mapping[str, epath.Path],
    context: base.StageContext,
) -> base.StageResult:
    """Exports the model. `components.exporter.Exporter` describes the files that it writes."""
    files = variants.parse(config.formats)
    parts = itertools.count()

    def finish_part() -> None:
        context.progress.update(next(parts), total=2 + len(files), unit="parts")

    finish_part()
    model = saved_model.load_keras(inputs["model"] / "model.keras")
    info = saved_model.export(model, outputs["saved_model"], training=_training(inputs["model"]))
    finish_part()
    blessing = infra_validator.validate(
        outputs["saved_model"],
        audio=infra_validator.read_clips(
            inputs["examples"], count=config.validation_clips, crop_samples=model.crop_samples
        ),
        reference=model,
        tolerance=config.tolerance,
    )
    finish_part()
    if files:
        # Imported here because it takes a second, and is rarely wanted.
        from components.exporter.runtimes import exporting

        of_files = exporting.export(
            model,
            outputs["saved_model"],
            info=info,
            config=config,
            examples=inputs["examples"],
            finish_part=finish_part,
        )
        blessing = dataclasses.replace(blessing, checks={**blessing.checks, **of_files})
    (outputs["infra_blessing"] / "infra_blessing.json").write_text(json.dumps(blessing.to_dict(), indent=2))
    table = (outputs["saved_model"] / variants.TABLE).read_text() if files else None
    summaries.write(info, blessing, runtimes=table, directory=context.tensorboard_dir)
    return base.StageResult(
        summary=_summary(info, blessing),
        figures={"blessed": int(blessing.blessed), "dim": info.dim, **blessing.latency_ms},
    )


def _training(model: epath.Path) -> dict[str, object]:
    """Returns the record of the training in the folder of a model, which may come from elsewhere without one."""
    file = model / "training.json"
    return json.loads(file.read_text()) if file.exists() else {}


def _summary(info: EmbeddingInfo, blessing: InfraBlessing) -> str:
    formats = " + ".join(f"{name} {dim}" for name, dim in info.dims.items())
    outcome = f"{len(blessing.checks)} infra checks passed"
    if not blessing.blessed:
        reasons = [f"{name} ({blessing.checks[name].detail})" for name in blessing.failed]
        outcome = f"NOT blessed: {', '.join(reasons)}"
    return f"SavedModel of {formats} = {info.dim} dimensions, {outcome}"
