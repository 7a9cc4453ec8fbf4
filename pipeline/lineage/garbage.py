"""Finds and removes what nothing needs any more: `diptych gc`.

Kept is what these wrote and read, with all that it descends from: a blessed or pushed model, every scored one of an
experiment, the newest run, the last finished execution of a stage, which `diptych run --from` builds on, and stopped
ones whose work is kept, which may go on from what they have read.
"""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from etils import epath

from beam_jobs import storage
from pipeline import checksums, listings
from pipeline.lineage import graph
from pipeline.metadata.executions import FINISHED, Artifact, Execution, State
from pipeline.metadata.history import History
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root, folders
from pipeline.runner import one_component

Fate = Literal["removable", "kept", "unfinished", "unknown"]

_REMOVED = "removed"
"""Start of the names of folders that are on their way out, in `staging`."""

_UNFINISHED = tuple(state for state in State if state not in FINISHED)

# Stages, and the figure that tells that an execution of it vouches for a model. Earlier versions had no figure.
_VOUCHERS: Mapping[str, str] = {"Evaluator": "blessed", "Pusher": "pushed"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder under a root.

    Attributes:
        path: Where it is.
        group: What it is one of, e.g. "Trainer/model".
        fate: "unfinished" is the work of a stage that was stopped, which its next execution continues; "unknown" is an
            artifact that the metadata does not know.
        bytes: Size of the files in it.
        artifact: Its record, if it has one.
    """

    path: epath.Path
    group: str
    fate: Fate
    bytes: int
    artifact: Artifact | None = None


def find(root: Root, store: MetadataStore, *, unfinished: bool) -> list[Folder]:
    """Returns the artifacts and the unfinished work under a root, and what is to become of them. Changes nothing.

    Args:
        root: The root.
        store: Its metadata.
        unfinished: Whether work that the newest run does not continue is removable, too.
    """
    newest = _newest_run(store)
    work = list(_work(root, needed={execution.cache_key.digest for execution in newest} if unfinished else None))
    stopped = _stopped(store, work=[folder.path.name for folder in work if folder.fate == "unfinished"])
    kept = {artifact.id for artifact in _kept([*newest, *stopped], store, root)}
    return [*_published(root, store, kept=kept), *work, *_staged(root)]


def remove(folder: Folder, root: Root, store: MetadataStore) -> None:
    """Removes a folder, and records it. Call it inside `root.lock()`.

    On this machine a folder first leaves its place, at once, so that nobody finds a part of it there.
    """
    place = folder.path
    if folder.artifact is not None:
        store.record_removal(folder.artifact)
        if root.is_local:
            place = root.path / "staging" / f"{_REMOVED}-{folder.group.replace('/', '-')}-{folder.path.name}"
            place.parent.mkdir(parents=True, exist_ok=True)
            folder.path.rename(place)
        checksums.remove(folder.path)
    storage.remove_tree(place)
    listings.forget()


def _newest_run(store: MetadataStore) -> list[Execution]:
    runs = store.runs()
    return store.executions(run=runs[-1]) if runs else []


def _stopped(store: MetadataStore, *, work: Sequence[str]) -> list[Execution]:
    """Returns the executions that have not finished and have left a work folder with one of some names."""
    if not work:
        return []
    stopped = store.executions(states=_UNFINISHED)
    return [execution for execution in stopped if execution.cache_key.digest.startswith(tuple(work))]


def _kept(to_continue: list[Execution], store: MetadataStore, root: Root) -> Iterator[Artifact]:
    """Yields the artifacts that are needed; see the top of this module."""
    needed = {execution.id: execution for execution in (*to_continue, *_last_finished(store), *_vouchers(store, root))}
    steps = graph.of_run(needed.values(), store).steps.values()
    seeds = [artifact for step in steps for artifact in (*step.execution.outputs.values(), *step.inputs.values())]
    yield from seeds
    yield from graph.made_from(store, seeds).artifacts()


def _last_finished(store: MetadataStore) -> Iterator[Execution]:
    for stage in {stage for run in store.runs() for stage in run.stages}:
        last = History(store, stage).last_finished()
        if last is not None:
            yield last


def _vouchers(store: MetadataStore, root: Root) -> Iterator[Execution]:
    """Yields the executions that blessed or pushed a model or, in a root of `diptych ablate`, scored one.

    An experiment finds its trainings by their outputs. Those that are not blessed count there, too.
    """
    is_of_experiments = storage.is_folder(root.experiments)
    for stage, figure in _VOUCHERS.items():
        for execution in store.executions(stage=stage, states=[State.COMPLETE]):
            if is_of_experiments or execution.figures.get(figure, 1):
                yield execution


def _published(root: Root, store: MetadataStore, *, kept: set[int | None]) -> Iterator[Folder]:
    artifacts = {artifact.uri: artifact for artifact in store.artifacts()}
    for stage in _folders(root.path / "artifacts"):
        for output in _folders(stage):
            for path in _folders(output):
                artifact = artifacts.get(str(path))
                if artifact is not None:
                    fate: Fate = "kept" if artifact.id in kept else "removable"
                else:
                    fate = "removable" if _is_half_published(path, stage=stage.name, store=store) else "unknown"
                yield _folder(path, group=f"{stage.name}/{output.name}", fate=fate, artifact=artifact)


def _is_half_published(path: epath.Path, *, stage: str, store: MetadataStore) -> bool:
    """Returns whether a killed run has left a folder that the metadata does not know."""
    return path.name.isdecimal() and bool(store.executions(stage=stage, ids=[int(path.name)], states=_UNFINISHED))


def _work(root: Root, *, needed: set[str] | None) -> Iterator[Folder]:
    """Yields the work of stopped stages, and that of `diptych run-component`, which is kept unless it was stopped.

    Args:
        root: The root.
        needed: Cache keys of the executions whose work is kept; None keeps all.
    """
    for stage in _folders(root.path / "work"):
        for path in _folders(stage):
            yield _folder(path, group=f"work/{stage.name}", fate=_fate_of_work(path, needed=needed))


def _fate_of_work(path: epath.Path, *, needed: set[str] | None) -> Fate:
    if (path / one_component.FINISHED).exists():  # The same call finds by it that it has finished.
        return "kept"
    if needed is None or any(key.startswith(path.name) for key in needed) or Root(path).is_locked():
        return "unfinished"
    return "removable"


def _staged(root: Root) -> Iterator[Folder]:
    """Yields what killed runs have left in `staging`, and what a stopped `diptych gc` has."""
    for path in _folders(root.path / "staging"):
        yield _folder(path, group="staging", fate="removable")


def _folder(path: epath.Path, *, group: str, fate: Fate, artifact: Artifact | None = None) -> Folder:
    return Folder(path=path, group=group, fate=fate, bytes=_bytes(path), artifact=artifact)


def _bytes(folder: epath.Path) -> int:
    """Returns the size of the files below a folder; what links lead to stays.

    A file that a living run removes meanwhile does not count.
    """
    if storage.is_remote(folder):
        return sum(storage.file_sizes(folder).values())
    total = 0
    if not os.path.islink(folder):
        for place, _, names in os.walk(folder):
            for path in (os.path.join(place, name) for name in names):
                with contextlib.suppress(FileNotFoundError):
                    total += 0 if os.path.islink(path) else os.path.getsize(path)
    return total


def _folders(folder: epath.Path) -> list[epath.Path]:
    """Returns the folders in a folder, which need not exist."""
    if not storage.is_folder(folder):
        return []
    return sorted(folders(folder))
