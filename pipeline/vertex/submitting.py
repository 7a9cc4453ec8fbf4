"""Sends a compiled pipeline to Vertex AI Pipelines."""

import contextlib
import json
import os
import re
from collections.abc import Iterator

import kfp.components
from etils import epath
from google.auth import credentials
from google.cloud import aiplatform

from beam_jobs.sources import manifest
from components import file_errors
from components.errors import UserError
from pipeline import digests
from pipeline.runner import one_component
from pipeline.vertex import executor_output, pipeline_spec

NOT_COMPUTED = "(computed when the job is sent)"
"""Stands for a digest in a job that is only shown."""

_UNKNOWN = "(unknown, and nothing is reused)"

_FOR_CONTAINERS = "beam_args"
"""The field whose paths are of the containers, and are not digested."""

# Behind the = of e.g. a baseline's NAME=PATH, too.
_PATH = re.compile(r"((?:[^/=]*=)?)(/.+)")


def job(file: str, *, project: str, region: str, root: str, caching: bool, is_sent: bool) -> aiplatform.PipelineJob:
    """Returns the job of a pipeline file.

    Args:
        file: What `diptych compile` wrote.
        project: Google Cloud's project.
        region: Vertex AI's region, e.g. "europe-west4".
        root: Folder for everything that is written; "" for the one that was compiled in.
        caching: Whether steps may be reused; if not, all run.
        is_sent: Whether the job is to be sent. Otherwise nothing outside this machine is read.

    Raises:
        UserError: The file is not a pipeline, no root is known, or what a step reads from outside cannot be read.
    """
    spec = _read(file)
    root = root or spec.default_pipeline_root
    if not root.startswith("gs://"):
        raise UserError("Vertex AI writes into a bucket: give it with --root gs://BUCKET/FOLDER.")
    values = {pipeline_spec.ROOT: root}
    for name, step in pipeline_spec.digest_parameters(spec).items():
        is_reused = caching and step.caching
        values[name] = _value(step.arguments, caching=is_reused) if is_sent else NOT_COMPUTED
    with errors(region):
        return aiplatform.PipelineJob(
            display_name=spec.pipeline_info.name,
            template_path=file,
            pipeline_root=root,
            parameter_values=values,
            enable_caching=None if caching else False,
            project=project,
            location=region,
            credentials=None if is_sent else credentials.AnonymousCredentials(),
        )


@contextlib.contextmanager
def errors(region: str) -> Iterator[None]:
    """Raises the errors of Google's services within the block as `UserError`."""
    with file_errors.as_user_errors(place=f"Vertex AI in {region}"):
        yield


def _read(file: str) -> pipeline_spec.kfp_pb2.PipelineSpec:
    """Reads a pipeline file.

    Raises:
        UserError: It is none of `diptych compile`.
    """
    try:
        spec = kfp.components.load_component_from_file(file).pipeline_spec
    except FileNotFoundError as error:
        raise UserError(f"There is no file {file}: write it with `diptych compile`.") from error
    except Exception as error:  # KFP's loader raises errors of many types.
        raise UserError(f"{file} is not a pipeline: write it with `diptych compile`.") from error
    if pipeline_spec.ROOT not in spec.root.input_definitions.parameters:
        raise UserError(f"{file} is another pipeline than those of `diptych compile`: write it with that.")
    return spec


def _value(arguments: list[str], *, caching: bool) -> str:
    """Returns what stands for the content of what a step reads from outside."""
    try:
        return _digest(arguments)
    except _NotHereError as error:
        if caching:
            raise UserError(
                f"{arguments[0]} reads {error}, which this machine has not, so that nobody can tell whether it has "
                "changed: give gs:// URLs, or let nothing be reused (--no-caching, or caching=false of the step)."
            ) from error
        return _UNKNOWN


class _NotHereError(Exception):
    """A path is one of the containers alone. The message is the path."""


def _digest(arguments: list[str]) -> str:
    """Returns a digest of what a step reads from outside, given the arguments of its container.

    Raises:
        _NotHereError: It is a path that this machine has not.
    """
    exec_properties = arguments[arguments.index("--exec-properties") + 1]
    here = {
        name: value if name == _FOR_CONTAINERS else _as_here(value)
        for name, value in json.loads(exec_properties).items()
    }
    component = one_component.create(arguments[0], exec_properties=json.dumps(here))
    with file_errors.as_user_errors(place=f"What {component.name} reads"):
        _check_rows(here.get("source"))
        return digests.json_digest(dict(component.external_digests()))


def _check_rows(source: object) -> None:
    """Checks the rows of a manifest, which are digested by what they name.

    Raises:
        _NotHereError: One names a path that this machine has not.
    """
    if not isinstance(source, str):
        return
    table = epath.Path(source)
    table = table if table.suffix.lower() == ".csv" else table / manifest.NAME
    for path in manifest.paths(table) if table.exists() else ():
        if path.startswith("/") and not os.path.exists(path):
            raise _NotHereError(f"{path} (a row of {table})")


def _as_here(value: object) -> object:
    """Returns a part of a config with the paths of the containers as this machine has them.

    Raises:
        _NotHereError: It has not.
    """
    if isinstance(value, dict):
        return {name: _as_here(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_as_here(part) for part in value]
    match = _PATH.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    name, path = match.group(1), executor_output.unmounted(match.group(2))
    if path.startswith("/") and not os.path.exists(path):
        raise _NotHereError(path)
    return name + path
