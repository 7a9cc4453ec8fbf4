"""The earlier executions of a stage, read from the metadata as they are asked for.

A root may have thousands of runs, and every one has an execution of every stage. A question here reads a few of them,
which the store finds by stage, state and cache key.
"""

import dataclasses
import itertools
from collections.abc import Collection, Iterator

from pipeline.metadata.executions import FINISHED, REFUSED, Artifact, Execution, State
from pipeline.metadata.store import MetadataStore

_UNFINISHED = tuple(state for state in State if state not in FINISHED)

_NEWEST = 7
"""Number of executions among which an output is looked for before the artifacts of all are listed."""

_MAX_PAGE = 64
"""Executions that are read at once where the newest ones do not do."""


class History:
    """The executions of one stage under one root.

    Args:
        store: The metadata of the root.
        stage: Name of the stage.
        below: Only executions with lower ids count.
    """

    def __init__(self, store: MetadataStore, stage: str, *, below: int | None = None):
        self._store = store
        self._stage = stage
        self._below = below
        self._left_out: frozenset[str] = frozenset()

    def without(self, inputs: Collection[str]) -> "History":
        """Returns the same history with cache keys that leave out some inputs. No execution is found by such a key."""
        history = History(self._store, self._stage, below=self._below)
        history._left_out = frozenset(inputs)
        return history

    def last(self) -> Execution | None:
        """Returns the last execution, whatever became of it, or None."""
        return next(self._newest_first(), None)

    def last_finished(self, *, cache_key: str = "") -> Execution | None:
        """Returns the last finished execution, by default with any cache key, or None."""
        return next(self._newest_first(states=FINISHED, cache_key=cache_key), None)

    def last_that_ran(self, *, cache_key: str = "") -> Execution | None:
        """Returns the last execution that was neither skipped nor refused, finished or not, or None."""
        ran = (State.COMPLETE, *_UNFINISHED)
        for execution in self._newest_first(states=ran, cache_key=cache_key):
            if execution.why != REFUSED:
                return execution
        return None

    def unfinished(self, *, cache_key: str = "") -> Iterator[Execution]:
        """Yields the executions that ran and did not finish, the newest first, by default with any cache key."""
        for execution in self._newest_first(states=_UNFINISHED, cache_key=cache_key):
            if execution.why != REFUSED:
                yield execution

    def finished(self, *, cache_key: str = "") -> Iterator[Execution]:
        """Yields the finished executions, the newest first, by default with any cache key."""
        return self._newest_first(states=FINISHED, cache_key=cache_key)

    def finished_itself(self, *, cache_key: str = "") -> Iterator[Execution]:
        """Yields the executions that wrote their outputs, rather than reusing those of another, the newest first."""
        return self._newest_first(states=(State.COMPLETE,), cache_key=cache_key)

    def other_outputs(self, channel: str, than: Artifact) -> Iterator[Artifact]:
        """Yields what an output held when it differed from an artifact, first what was written or reused last.

        Args:
            channel: The output channel.
            than: An artifact of the channel.
        """
        yielded = {than.id}
        # What ran lately is among the newest, and what all have reused since is not looked for in thousands of them.
        for execution in itertools.islice(self.finished(), _NEWEST):
            artifact = execution.outputs.get(channel)
            if artifact is not None and artifact.digest != than.digest and artifact.id not in yielded:
                yielded.add(artifact.id)
                yield artifact
        others = [artifact for artifact in self._store.artifacts(than.type) if artifact.digest != than.digest]
        uses = sorted((use for use in self._store.uses_of(others) if use.is_output), key=lambda use: use.execution_id)
        last_uses = {use.artifact.id: use for use in uses}
        for use in sorted(last_uses.values(), key=lambda use: use.execution_id, reverse=True):
            if use.artifact.id in yielded:
                continue
            if use.channel == channel and self._store.executions(stage=self._stage, ids=[use.execution_id]):
                yield use.artifact

    def _newest_first(self, *, states: tuple[State, ...] = (), cache_key: str = "") -> Iterator[Execution]:
        below, page = self._below, 1
        while True:
            executions = self._store.executions(
                stage=self._stage, states=states, cache_key=cache_key, below=below, newest=page
            )
            for execution in reversed(executions):
                yield dataclasses.replace(execution, cache_key=execution.cache_key.without(self._left_out))
            if len(executions) < page:
                return
            below, page = executions[0].id, min(2 * page, _MAX_PAGE)
