"""Trainer: learns the dual-format model from the train split, without labels."""

import dataclasses
import json
from collections.abc import Mapping
from typing import ClassVar

from etils import epath

from components import base
from components.errors import UserError
from components.trainer.config import TrainerConfig
from models import compatibility


class Trainer(base.Component):
    """Writes `model/` (`model.keras`, `initial.keras` with the untrained weights, `training.json`) and `model_run/`.

    A run that was stopped goes on from its last checkpoint when the same stage runs again with nothing changed.
    """

    inputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "examples": base.ArtifactType.EXAMPLES,
        "anomalies": base.ArtifactType.EXAMPLE_ANOMALIES,
    }
    optional_inputs: ClassVar[frozenset[str]] = frozenset({"anomalies"})
    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "model": base.ArtifactType.MODEL,
        "model_run": base.ArtifactType.MODEL_RUN,
    }
    Config = TrainerConfig
    code: ClassVar[tuple[str, ...]] = ("models", "beam_jobs.examples", "components.metrics")

    def check(self) -> None:
        config, model = self.config, self.config.model
        try:
            compatibility.embedding_dim(model)
            compatibility.check_inputs(model)
        except ValueError as error:
            raise UserError(f"trainer.model: {error}.") from error
        for field, name, augment in zip("ab", model.format_names, (model.augment_a, model.augment_b), strict=True):
            on_bands = [key for key in ("frequency_mask", "frequency_shift") if getattr(augment, key)]
            if name == "waveform" and on_bands:
                off = " ".join(f"trainer.model.augment_{field}.{key}=0" for key in on_bands)
                raise UserError(
                    f"Branch {field.upper()} is a waveform, which has no bands to mask or shift: add {off}."
                )
        if config.warmup_steps >= config.steps:
            raise UserError(
                f"trainer.warmup_steps={config.warmup_steps} leaves nothing of trainer.steps={config.steps} "
                "for the decay: choose fewer."
            )
        if config.final_learning_rate > config.learning_rate:
            raise UserError(
                f"trainer.final_learning_rate={config.final_learning_rate:g} is above trainer.learning_rate="
                f"{config.learning_rate:g}, where the decay begins: choose a lower one."
            )

    def execute(
        self,
        *,
        inputs: Mapping[str, epath.Path],
        outputs: Mapping[str, epath.Path],
        context: base.StageContext,
    ) -> base.StageResult:
        if "anomalies" in inputs:
            refuse_fatal(inputs["anomalies"])
        from components.trainer import train as loop

        outcome = loop.train(self.config, examples_dir=inputs["examples"], outputs=outputs, context=context)
        rate = f"{outcome.clips_per_s:,.0f} clips/s" if outcome.clips_per_s else "resumed at its end"
        best = f", best at {outcome.best_step:,}" if outcome.best_step != outcome.steps else ""
        return base.StageResult(
            summary=f"{outcome.steps:,} steps{best}, loss {outcome.loss:.2f}, top-1 {outcome.top1:.0%}, {rate}",
            figures=dataclasses.asdict(outcome),
        )


def refuse_fatal(anomalies: epath.Path) -> None:
    """Refuses to train on examples with a fatal anomaly.

    Raises:
        UserError: naming the first one.
    """
    found = json.loads((anomalies / "anomalies.json").read_text())
    fatal = [anomaly for anomaly in found if anomaly["severity"] == "fatal"]
    if fatal:
        more = f" (and {len(fatal) - 1} more)" if len(fatal) > 1 else ""
        raise UserError(
            f"The examples cannot be trained on: {fatal[0]['message'].rstrip('.')}{more}; mend the audio, or the "
            f"bounds in example_validator (all anomalies are in {anomalies / 'anomalies.json'})."
        )
