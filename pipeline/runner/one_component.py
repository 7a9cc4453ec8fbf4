"""Runs one component on folders that are given by name, without a pipeline and without metadata.

This is what a container of KFP or Vertex AI does. Who starts it decides when it runs and records what it wrote.
"""

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Iterator, Mapping

import pydantic
from absl import logging
from etils import epath

from beam_jobs import storage
from components.base import Component, StageContext, StageResult
from components.errors import UserError
from pipeline import checksums, dag, digests, listings
from pipeline.configs import explain
from pipeline.console.durations import duration
from pipeline.console.progress import Display
from pipeline.root import Root
from pipeline.runner import graph, interrupts, libraries
from pipeline.runner.supervision import Supervision

_BEGUN = "begun.json"
"""Beside a work folder: the outputs that it has begun to write, which the next attempt may therefore remove."""

FINISHED = "finished.json"
"""Beside a work folder: the outputs that were finished last, and what is known of them."""

Folders = Mapping[str, epath.Path]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finished:
    """What a component wrote.

    Attributes:
        result: What its executor returned.
        digests: Output channel -> digest of the content of its files, as `diptych run` records it.
    """

    result: StageResult
    digests: Mapping[str, str]


def create(stage: str, *, exec_properties: str, version: int | None = None) -> Component:
    """Returns a component.

    Args:
        stage: Its name.
        exec_properties: Its config as JSON. Fields that are left out keep their defaults.
        version: The version of the component that is expected, or None for any.

    Raises:
        UserError: There is no such stage, a value does not fit, or this Diptych has another version of it.
    """
    component_class = dag.COMPONENTS[graph.stage_named(stage, list(dag.COMPONENTS), flag="STAGE")]
    if version not in (None, component_class.version):
        raise UserError(
            f"--component-version {version}: {component_class.__name__} is version {component_class.version} in this "
            "Diptych: compile the pipeline with the Diptych of its image, or give it the image of its Diptych."
        )
    try:
        return component_class(component_class.Config.model_validate_json(exec_properties))
    except pydantic.ValidationError as error:
        raise UserError(f"--exec-properties of {component_class.__name__}: {explain.sentence(error)}") from error


def run(
    component: Component,
    *,
    inputs: Folders,
    outputs: Folders,
    root: epath.Path | None,
    display: Display,
    supervision: Supervision | None = None,
) -> Finished:
    """Runs a component, or continues where the same call was stopped. Of a call that has finished, nothing is repeated.

    Args:
        component: The component.
        inputs: Input channel -> folder.
        outputs: Output channel -> folder, which does not exist, is empty, or was written by an earlier attempt.
        root: Folder for checkpoints and TensorBoard's events; None for the one that holds the outputs.
        display: Where progress is shown.
        supervision: Its alarm and its costs; None for none.

    Raises:
        UserError: The channels do not fit the component, a folder cannot be used, another process runs the same, or the
            component raised it.
    """
    started, supervision = time.monotonic(), supervision or Supervision()
    _check_channels(component, inputs=inputs, outputs=outputs)
    component.check()
    component.check_inputs({name: inputs[name] for name in component.checked_inputs & set(inputs)})
    key = _key(component, inputs)
    place = Root(root or next(iter(outputs.values())).parent)
    attempts = Root(place.work(stage=component.name, cache_key=key))
    with attempts.lock():
        earlier = _finished_earlier(attempts.path / FINISHED, outputs=outputs, component=component)
        if earlier is not None:
            for gate in component.gates & set(inputs):
                component.check_gate(gate, inputs[gate])
            component.check_reused(outputs=outputs, figures=earlier.result.figures)
            display.say(f"{component.name}: its outputs are there since an earlier call, {earlier.result.summary}")
            return earlier
        (attempts.path / FINISHED).unlink(missing_ok=True)  # It tells of outputs that are there no more.
        _remove_earlier(outputs, begun=attempts.path / _BEGUN)
        work, events = attempts.path / "work", place.tensorboard / component.name / key[:8]
        if not work.exists():
            # This call does not continue an earlier one, so old curves would overlap the new ones.
            storage.remove_tree(events)
        for folder in (*outputs.values(), work, events):
            folder.mkdir(parents=True, exist_ok=True)
        shown = display.stage(component.name, **supervision.of_display(component.name))
        with _removed_on_error(outputs), shown as progress:
            context = StageContext(work_dir=work, tensorboard_dir=events, progress=progress)
            result = component.execute(inputs=inputs, outputs=outputs, context=context)
        attempts.check_held()
        written = {
            channel: checksums.write(folder, staged=folder, reports=component.reports)
            for channel, folder in outputs.items()
        }
        finished = Finished(result=result, digests=written)
        undone = component.unfinished(result.figures)
        if not undone:
            _record(finished, outputs=outputs, component=component, folder=attempts.path)
        _tidy(work, why_not=undone)
    display.say(f"{component.name}: done in {duration(time.monotonic() - started)}, {result.summary}")
    return finished


def _check_channels(component: Component, *, inputs: Folders, outputs: Folders) -> None:
    """Checks that the channels are those of the component, and that there is something to read.

    Raises:
        UserError: They are not, or there is not.
    """
    for flag, given, known, optional in (
        ("--input", inputs, component.inputs, component.optional_inputs),
        ("--output", outputs, component.outputs, ()),
    ):
        for channel in given:
            if channel not in known:
                names = ", ".join(known) or "none"
                raise UserError(f"{flag} {channel}: {component.name} has no such channel; it has {names}.")
        for channel in known:
            if channel not in given and channel not in optional:
                raise UserError(f"{component.name} lacks a folder for {channel}: give {flag} {channel} DIR.")
    for channel, folder in inputs.items():
        if not storage.is_folder(folder):
            raise UserError(f"--input {channel} {folder}: there is no such folder; give what a stage has published.")


def _key(component: Component, inputs: Folders) -> str:
    """Returns a digest of what decides the outputs. It does not read all that the inputs hold."""
    named = {
        channel: [os.fspath(folder), *_identity(folder)]
        for channel, folder in inputs.items()
        if channel not in component.gates
    }
    config, external = component.resolved_config().deciding(), dict(component.external_digests())
    versions = libraries.versions(component.libraries)
    return digests.json_digest([component.name, component.version, versions, config, external, named])


def _identity(folder: epath.Path) -> list[str]:
    """Returns what changes when the content of an input does, as far as that can be known without reading it.

    On this machine, what no component has written, such as audio, is known by the times of its files.
    """
    described, sums = listings.describe(folder), checksums.digest(folder)
    if sums is not None:
        return [described, sums]
    if storage.is_remote(folder):
        return [described]
    times = [os.stat(os.path.join(folder, name)).st_mtime_ns for name in digests.file_sizes(folder)]
    return [described, digests.json_digest(times)]


def _finished_earlier(file: epath.Path, *, outputs: Folders, component: Component) -> Finished | None:
    """Returns what an earlier call has finished, if its outputs are still as they were."""
    if not file.exists():
        return None
    kept = json.loads(file.read_text())
    if kept["outputs"] != _described(outputs, component):
        return None
    return Finished(result=StageResult(summary=kept["summary"], figures=kept["figures"]), digests=kept["digests"])


def _record(finished: Finished, *, outputs: Folders, component: Component, folder: epath.Path) -> None:
    """Notes that outputs are finished, so that no later call removes them."""
    kept = {
        "outputs": _described(outputs, component),
        "summary": finished.result.summary,
        "figures": dict(finished.result.figures),
        "digests": dict(finished.digests),
    }
    storage.write_text(folder / FINISHED, json.dumps(kept))
    begun = set(json.loads((folder / _BEGUN).read_text())) - {os.fspath(each) for each in outputs.values()}
    storage.write_text(folder / _BEGUN, json.dumps(sorted(begun)))


def _described(outputs: Folders, component: Component) -> dict[str, list[str]]:
    """Returns the path of each output, and what its listing says; see `listings.describe`."""
    return {
        channel: [os.fspath(folder), listings.describe(folder, reports=component.reports)]
        for channel, folder in outputs.items()
        if storage.is_folder(folder)
    }


def _remove_earlier(outputs: Folders, *, begun: epath.Path) -> None:
    """Removes what killed attempts have left in the output folders.

    Raises:
        UserError: One holds files of someone else.
    """
    known = set(json.loads(begun.read_text())) if begun.exists() else set()
    for channel, folder in outputs.items():
        if os.fspath(folder) not in known and storage.is_folder(folder) and any(folder.iterdir()):
            raise UserError(f"--output {channel} {folder} is not empty: name a new folder.")
    names = sorted(known | {os.fspath(folder) for folder in outputs.values()})
    storage.write_text(begun, json.dumps(names))
    _remove(outputs)


def _remove(outputs: Folders) -> None:
    for folder in outputs.values():
        checksums.remove(folder)
        storage.remove_tree(folder)


@contextlib.contextmanager
def _removed_on_error(outputs: Folders) -> Iterator[None]:
    """Removes the outputs if an error or a signal ends the block, so that nobody reads the half of them."""
    try:
        yield
    except BaseException:
        with interrupts.deferred():
            try:
                _remove(outputs)
            except Exception as error:  # The first error says why, e.g. that the disk is full.
                logging.info("unfinished outputs cannot be removed: %s", error)
        raise


def _tidy(work: epath.Path, *, why_not: str) -> None:
    """Removes a work folder, unless there is a reason to continue in it."""
    if why_not:
        logging.warning("%s: the same step without caching continues there", why_not)
    else:
        storage.remove_tree(work)
