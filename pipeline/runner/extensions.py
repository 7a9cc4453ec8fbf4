"""Finds the finished execution of a stage that another one goes on from, e.g. a training with fewer steps."""

from components.base import Component
from pipeline.metadata.executions import CacheKey, Execution
from pipeline.metadata.history import History
from pipeline.runner import decide


def find(component: Component, key: CacheKey, *, history: History) -> Execution | None:
    """Returns the execution that one with the given key extends, or None.

    What has run before with the same key, extending or not, decides. So an execution that was finished is found again,
    and one that was stopped goes on, whatever has run meanwhile.

    Args:
        component: The stage.
        key: Its cache key, without an extension.
        history: Its earlier executions.
    """
    if not component.can_extend:
        return None
    finished = list(history.finished_itself())  # The newest first.
    by_digest = {execution.cache_key.digest: execution for execution in reversed(finished)}
    for execution in (*finished, *history.unfinished()):
        if execution.cache_key.extending("").digest == key.digest:
            if not execution.cache_key.extended:
                return None
            source = by_digest.get(execution.cache_key.extended)
            if source is not None and (_is_reusable(execution, component) or _is_reusable(source, component)):
                return source
    candidates = [(_done(component, key, execution), execution.started_ms, execution) for execution in finished]
    for done, _, execution in sorted(candidates, key=lambda one: one[:2], reverse=True):
        if done and _is_reusable(execution, component):
            return execution
    return None


def _done(component: Component, key: CacheKey, execution: Execution) -> int:
    """Returns how much of the work of a key a finished execution has done, see `Component.extends`."""
    before = execution.cache_key
    is_comparable = (before.version, before.libraries, before.inputs) == (key.version, key.libraries, key.inputs)
    if not is_comparable or before.extending("").external != key.external:
        return 0
    return component.extends(before.config, outputs=execution.folders)


def _is_reusable(execution: Execution, component: Component) -> bool:
    outputs = execution.outputs.values()
    return execution.state.is_finished and all(
        decide.is_intact(output, reports=component.reports) for output in outputs
    )
