"""Whether a stage has to run, and why: the sentence that the table shows."""

import dataclasses
import time
from collections.abc import Mapping, Sequence

from etils import epath

from pipeline import digests
from pipeline.metadata.store import Artifact, Execution, Recipe, State

SHOWN = 3  # How many changes a sentence names.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decision:
    """Run (`reuse` is None) or take the outputs of an earlier execution; and why."""

    reuse: Execution | None
    why: str


def decide(recipe: Recipe, *, history: Sequence[Execution], forced_by: str = "") -> Decision:
    """Compares a recipe with the earlier executions of its stage.

    Args:
        recipe: Of the stage now.
        history: Executions of the same stage, oldest first.
        forced_by: The flag that asks for the stage to be run, if any.
    """
    if forced_by:
        return Decision(reuse=None, why=forced_by)
    finished = [execution for execution in history if execution.state.finished]
    matching = [execution for execution in finished if execution.recipe.key == recipe.key]
    if matching:
        latest = matching[-1]
        if damaged := [channel for channel, artifact in latest.outputs.items() if not is_intact(artifact)]:
            return Decision(reuse=None, why=f"published {damaged[0]} missing or altered")
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(_origin(latest, finished).started_ms / 1000))
        return Decision(reuse=latest, why=f"nothing changed since {when}")
    if finished:
        return Decision(reuse=None, why=_what_changed(finished[-1].recipe, recipe))
    if history and history[-1].state == State.FAILED:
        return Decision(reuse=None, why="failed last time")
    if history:
        return Decision(reuse=None, why="interrupted last time")
    return Decision(reuse=None, why="first run")


def is_intact(artifact: Artifact) -> bool:
    """Whether a published folder still holds the files it was published with (names and sizes)."""
    folder = epath.Path(artifact.uri)
    return folder.is_dir() and digests.listing_digest(folder) == artifact.listing


def _origin(execution: Execution, history: Sequence[Execution]) -> Execution:
    """The execution that really ran, for one that only reused it."""
    ids = {artifact.id for artifact in execution.outputs.values()}
    for earlier in history:
        if earlier.state == State.COMPLETE and {artifact.id for artifact in earlier.outputs.values()} == ids:
            return earlier
    return execution


def _what_changed(before: Recipe, after: Recipe) -> str:
    changes = [f"config.{change}" for change in digests.differences(before.config, after.config)]
    changes += _changed_keys(before.inputs, after.inputs, "input {} changed")
    changes += _changed_keys(before.external, after.external, "{} changed")
    changes += _changed_keys(before.code, after.code, "{} changed")
    more = len(changes) - SHOWN
    return ", ".join(changes[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _changed_keys(before: Mapping[str, str], after: Mapping[str, str], text: str) -> list[str]:
    return [text.format(key) for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
