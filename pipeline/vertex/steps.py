"""What each step of a compiled pipeline gets: its machine, its retries and whether KFP may reuse its outputs."""

from collections.abc import Sequence

import pydantic

from components import text
from components.base import StageConfig
from components.errors import UserError
from pipeline.configs import overrides
from pipeline.configs.config import PipelineConfig


class StepConfig(StageConfig):
    """One step. Vertex AI gives it the smallest machine that has all of this."""

    cpu: int = pydantic.Field(4, ge=1, description="Number of vCPUs.")
    memory_gb: int = pydantic.Field(16, ge=1, description="Memory in GB.")
    accelerator: str = pydantic.Field("", description="Type of the accelerator, e.g. NVIDIA_L4; empty for none.")
    accelerators: int = pydantic.Field(1, ge=1, description="Number of accelerators of that type.")
    retries: int = pydantic.Field(
        2, ge=0, description="How often the step starts again after a failure. It continues in its work folder."
    )
    caching: bool = pydantic.Field(True, description="Whether outputs of an earlier run of the same step are reused.")


_ON_CPUS = {"trainer.cpu": 12, "trainer.memory_gb": 80, "trainer.accelerators": 1}
"""What the step of narrow encoders gets, which needs no accelerator."""


class StepsConfig(StageConfig):
    """All steps. The sections have the names of those of `PipelineConfig`."""

    synthetic_audio_gen: StepConfig = StepConfig()
    audio_example_gen: StepConfig = StepConfig(cpu=16, memory_gb=64)
    statistics_gen: StepConfig = StepConfig(cpu=16, memory_gb=64)
    example_validator: StepConfig = StepConfig()
    # The batches of the presets base and small need the memory of several. Such a machine may be taken away at any
    # time, and training then continues from its last checkpoint.
    trainer: StepConfig = StepConfig(cpu=96, memory_gb=680, accelerator="NVIDIA_TESLA_A100", accelerators=8, retries=5)
    importer: StepConfig = StepConfig()
    exporter: StepConfig = StepConfig(cpu=8, memory_gb=32)
    embedder: StepConfig = StepConfig(cpu=8, memory_gb=32, accelerator="NVIDIA_L4")
    evaluator: StepConfig = StepConfig(cpu=16, memory_gb=64)
    pusher: StepConfig = StepConfig()


def resolve(config: PipelineConfig, *, assignments: Sequence[str] = ()) -> StepsConfig:
    """Returns the steps of a run with assignments such as "trainer.cpu=32" applied.

    Encoders that are narrower than the paper's, as those of quickstart and tiny, get no accelerator.

    Raises:
        UserError: There is no such step or field, or a value does not fit.
    """
    steps = StepsConfig()
    if config.trainer.model.width < 1:
        no_accelerators = {f"{name}.accelerator": "" for name in StepsConfig.model_fields}
        steps = overrides.replace(steps, {**no_accelerators, **_ON_CPUS})
    try:
        steps = overrides.override(steps, assignments)
    except UserError as error:
        raise UserError(f"--step {error}") from error
    for assignment in assignments:
        step, _, field = assignment.partition("=")[0].partition(".")
        if field == "accelerators" and not getattr(steps, step).accelerator:
            raise UserError(
                f"--step {assignment}: the step has no accelerator: also give its type, e.g. --step "
                f"{step}.accelerator=NVIDIA_L4."
            )
    return steps


def described(step: StepConfig) -> str:
    """Returns what a step gets, e.g. "8 vCPUs, 32 GB, 1 NVIDIA_L4, 3 attempts"."""
    accelerators = [f"{step.accelerators} {step.accelerator}"] if step.accelerator else []
    attempts = text.plural(step.retries + 1, "attempt")
    caching = [] if step.caching else ["no caching"]
    return ", ".join([text.plural(step.cpu, "vCPU"), f"{step.memory_gb} GB", *accelerators, attempts, *caching])
