"""Finds the artifact and the run that a user means."""

import os
import re

from beam_jobs import command_lines, storage
from components.errors import UserError
from pipeline import paths
from pipeline.metadata.executions import Artifact, Run, State
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root

_PUBLISHED = re.compile(r"(?:(?P<root>.*)/)?artifacts/(?P<stage>\w+)/(?P<output>\w+)/(?P<number>\d+)(?:/.*)?")
"""Path of a published folder, or of something in it."""

_SHORT = re.compile(r"(?P<stage>\w+)/(?P<output>\w+)/(?P<number>\d+)")
"""The same below `artifacts`."""

_PUSHER = "Pusher"
_VERSION = "version"
"""The figure with the name of the folder that the Pusher wrote."""


def root_of(artifact: str) -> str | None:
    """Returns the root that the path of a published folder lies in, or None if it is no such path."""
    match = _PUBLISHED.fullmatch(paths.absolute(artifact))
    return match["root"] if match else None


def artifacts(text: str, *, root: Root, store: MetadataStore) -> list[Artifact]:
    """Returns the artifacts that a user means.

    Args:
        text: Path of a published folder, or of a file in it; the last three parts of the path; the path of a pushed
            model; or the number of an execution, which stands for all that it wrote.
        root: The root.
        store: Its metadata.

    Raises:
        UserError: There is no such artifact.
    """
    if text.isdecimal():
        found = store.executions(ids=[int(text)])
        outputs = [artifact for execution in found for artifact in execution.outputs.values()]
    else:
        match = _PUBLISHED.fullmatch(paths.absolute(text)) or _SHORT.fullmatch(text.strip("/"))
        outputs = _published(match, store=store) if match else _pushed(text, store=store)
    if not outputs:
        raise UserError(
            f"The metadata of {root.path} knows no artifact {text}: give the path of a folder below "
            f"{root.path / 'artifacts'}, or the number at its end."
        )
    return outputs


def run(text: str, *, root: Root, store: MetadataStore) -> Run:
    """Returns the run with a name.

    Args:
        text: Its name, a part of it that no other run has, or "last".
        root: The root.
        store: Its metadata.

    Raises:
        UserError: There is no such run, or more than one.
    """
    runs = store.runs()
    if text == "last" and runs:
        return runs[-1]
    found = [run for run in runs if run.name == text] or [run for run in runs if text in run.name]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f"{text} is a part of the names of {len(found)} runs under {root.path}, e.g. {found[0].name} and "
            f"{found[-1].name}: give more of the name."
        )
    listing = command_lines.diptych("runs", "--root", str(root.path))
    raise UserError(f"There is no run {text} under {root.path}: `{listing}` lists them.")


def _published(match: re.Match[str], *, store: MetadataStore) -> list[Artifact]:
    executions = store.executions(ids=[int(match["number"])])
    return [
        execution.outputs[match["output"]]
        for execution in executions
        if execution.stage == match["stage"] and match["output"] in execution.outputs
    ]


def _pushed(text: str, *, store: MetadataStore) -> list[Artifact]:
    """Returns the record of the push that wrote a folder outside of the root; its name is the version of the model."""
    folder = storage.canonical(os.path.expanduser(text))
    destination, _, version = folder.rpartition("/")
    for execution in reversed(store.executions(stage=_PUSHER, states=[State.COMPLETE])):
        configured = str(execution.cache_key.config.get("destination") or "")
        if str(execution.figures.get(_VERSION)) == version and storage.canonical(configured) == destination:
            return list(execution.outputs.values())
    return []
