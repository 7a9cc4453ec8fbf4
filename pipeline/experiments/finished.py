"""Finds in the metadata of a root what has run already, by the same keys as `diptych run`."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping

from components.base import Figures
from components.errors import DamagedFile
from pipeline import dag
from pipeline.configs.config import PipelineConfig
from pipeline.metadata.executions import Artifact, State
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root
from pipeline.runner import plan

LAST_STAGE = "Evaluator"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What a finished run has left.

    Attributes:
        metrics: The Evaluator's `metrics.json`.
        training: Figures of the Trainer: its steps, and `cpu_s`.
    """

    metrics: Mapping[str, object]
    training: Figures


def outputs(root: Root, config: PipelineConfig, *, until: str) -> Mapping[str, Mapping[str, Artifact]]:
    """Returns what stages have published that would be skipped now: stage -> output channel -> artifact.

    Args:
        root: The root, which may be in use by another run.
        config: The config of the run.
        until: The last stage.

    Raises:
        UserError: The run would be refused.
    """
    planned = plan.make(dag.create_pipeline(config), store=_store(root), until_stage=until)
    if planned.refusal is not None:
        raise planned.refusal
    return {stage.stage: stage.outputs for stage in planned.stages if stage.outcome == "skipped" and stage.outputs}


def find(root: Root, config: PipelineConfig) -> Evaluated | None:
    """Returns what a run with this config has left, or None if it has not finished. For the rest see `outputs`."""
    published = outputs(root, config, until=LAST_STAGE)
    if LAST_STAGE not in published:
        return None
    folder = pathlib.Path(published[LAST_STAGE]["evaluation"].uri)
    try:
        metrics = json.loads((folder / "metrics.json").read_text())
    except (OSError, ValueError) as error:
        raise DamagedFile(
            f"{folder / 'metrics.json'} cannot be read: remove the folder, and it is made again.", path=str(folder)
        ) from error
    model = published.get("Trainer", {}).get("model")
    return Evaluated(metrics=metrics, training={} if model is None else _figures(root, "Trainer", model))


def has_any(root: Root) -> bool:
    """Returns whether any run has reached the last stage of a training."""
    return bool(_store(root).executions(stage=LAST_STAGE, states=[State.COMPLETE], newest=1))


def _figures(root: Root, stage: str, artifact: Artifact) -> Figures:
    """Returns the figures of the execution that has published an artifact."""
    for execution in _store(root).executions(stage=stage):
        if artifact.id in {one.id for one in execution.outputs.values()}:
            return execution.figures
    return {}


def _store(root: Root) -> MetadataStore:
    return MetadataStore(root.metadata_uri(), pipeline=root.name, root=root.path, read_only=True)
