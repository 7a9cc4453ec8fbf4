"""Sends a compiled pipeline to Vertex AI Pipelines."""

import contextlib
from collections.abc import Iterator

import kfp.components
from google.auth import credentials
from google.cloud import aiplatform

from components import file_errors
from components.errors import UserError
from pipeline import digests
from pipeline.runner import one_component
from pipeline.vertex import pipeline_spec

NOT_COMPUTED = "(computed when the job is sent)"
"""Stands for a digest in a job that is only shown."""


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
    for name, arguments in pipeline_spec.digest_parameters(spec).items():
        values[name] = _digest(arguments) if is_sent else NOT_COMPUTED
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


def _digest(arguments: list[str]) -> str:
    """Returns a digest of what a step reads from outside, given the arguments of its container."""
    exec_properties = arguments[arguments.index("--exec-properties") + 1]
    component = one_component.create(arguments[0], exec_properties=exec_properties)
    with file_errors.as_user_errors(place=f"What {component.name} reads"):
        return digests.json_digest(dict(component.external_digests()))
