"""Exporter: writes the SavedModel that is served, and its InfraValidator's verdict."""

import json
from collections.abc import Mapping
from typing import ClassVar

import pydantic
from etils import epath

from components import base


class ExporterConfig(base.StageConfig):
    """How the exported model is checked."""

    validation_clips: int = pydantic.Field(4, ge=2, le=64, description="Real clips to check the SavedModel with.")
    tolerance: float = pydantic.Field(
        1e-4, gt=0, description="Largest difference allowed, as a share of the largest embedding value."
    )


class Exporter(base.Component):
    """Exports the embedding and validates the infrastructure side of it in a fresh process (see `infra_validator`)."""

    inputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "model": base.ArtifactType.MODEL,
        "examples": base.ArtifactType.EXAMPLES,
    }
    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "saved_model": base.ArtifactType.MODEL,
        "infra_blessing": base.ArtifactType.INFRA_BLESSING,
    }
    Config = ExporterConfig
    code: ClassVar[tuple[str, ...]] = ("models", "beam_jobs.examples")

    def execute(
        self,
        *,
        inputs: Mapping[str, epath.Path],
        outputs: Mapping[str, epath.Path],
        context: base.StageContext,
    ) -> base.StageResult:
        from components.exporter import infra_validator, saved_model

        context.progress.update(0, total=2, unit="parts")
        model = saved_model.load_keras(inputs["model"] / "model.keras")
        info = saved_model.export(model, outputs["saved_model"])
        context.progress.update(1, total=2, unit="parts")
        verdict = infra_validator.validate(
            outputs["saved_model"],
            audio=infra_validator.read_clips(inputs["examples"], count=self.config.validation_clips),
            reference=model,
            tolerance=self.config.tolerance,
        )
        (outputs["infra_blessing"] / "infra_blessing.json").write_text(json.dumps(verdict, indent=2))
        context.progress.update(2, total=2, unit="parts")
        _summaries(info, verdict, context=context)
        return base.StageResult(
            summary=_summary(info, verdict),
            figures={"blessed": int(verdict["blessed"]), "dim": info["dim"], **verdict.get("latency_ms", {})},
        )


def _summary(info: Mapping, verdict: Mapping) -> str:
    formats = " + ".join(f"{name} {dim}" for name, dim in info["dims"].items())
    failed = [name for name, check in verdict["checks"].items() if not check["passed"]]
    outcome = f"NOT blessed: {', '.join(failed)}" if failed else f"{len(verdict['checks'])} infra checks passed"
    return f"SavedModel of {formats} = {info['dim']} dimensions, {outcome}"


def _summaries(info: Mapping, verdict: Mapping, *, context: base.StageContext) -> None:
    import tensorflow as tf

    from components import tensorboard

    checks = [
        (name, "passed" if check["passed"] else "FAILED", check["detail"]) for name, check in verdict["checks"].items()
    ]
    with tensorboard.writer(context.tensorboard_dir).as_default(step=0):
        tf.summary.text(
            "saved_model/signatures",
            tensorboard.markdown_table(
                ("signature", "output", "shape"),
                [(name, key, shape) for name, shapes in info["signatures"].items() for key, shape in shapes.items()],
            ),
        )
        tf.summary.text("saved_model/embedding_info", "```\n" + json.dumps(info, indent=2) + "\n```")
        tf.summary.text("infra/checks", tensorboard.markdown_table(("check", "outcome", "detail"), checks))
        for name, value in verdict.get("latency_ms", {}).items():
            tf.summary.scalar(f"infra/latency_ms/{name}", value)
