"""Compiles a config to a pipeline file for KFP v2 and Vertex AI Pipelines."""

import pathlib
import re
import tempfile

import kfp.components
from absl import logging
from kfp.compiler import pipeline_spec_builder
from kfp.pipeline_spec import pipeline_spec_pb2

from beam_jobs import storage
from components.errors import UserError
from components.trainer import devices
from pipeline import dag
from pipeline.configs import describe
from pipeline.configs.config import PipelineConfig
from pipeline.runner.graph import Pipeline
from pipeline.vertex import pipeline_spec
from pipeline.vertex.steps import StepsConfig

SUFFIXES = (".yaml", ".yml")

_IN_CONTAINERS = ("/gcs/", "/mnt/")
"""Beginnings of local paths that a container may well have: buckets and disks that Vertex AI or KFP mounts."""


def compile_to_file(
    config: PipelineConfig, file: pathlib.Path, *, preset: str, image: str, root: str, steps: StepsConfig
) -> Pipeline:
    """Writes the pipeline of a config into a YAML file, once KFP's loader has read it.

    Nothing outside this machine is read: a stage whose config names a path or URL checks it when its step starts.

    Args:
        config: The config.
        file: The file.
        preset: Name of the preset, or of the file of the config, which names the pipeline.
        image: The container image of all steps.
        root: Folder for everything that is written, or "".
        steps: What each step gets.

    Returns:
        The pipeline.

    Raises:
        UserError: The config would fail, or the file cannot have that name.
    """
    if file.suffix not in SUFFIXES:
        raise UserError(f"--output {file}: KFP reads pipelines from YAML files; name a file that ends in .yaml.")
    if not file.parent.is_dir():
        raise UserError(f"--output {file}: there is no folder {file.parent}; make it, or name another.")
    if config.trainer.strategy in ("tpu", "multi_worker"):
        raise UserError(
            f"trainer.strategy={config.trainer.strategy}: a step is one machine without a TPU: leave trainer.strategy "
            "at auto, which trains on all of its GPUs, or train elsewhere with `diptych train`."
        )
    if config.trainer.tpu != devices.LOCAL_TPU:
        raise UserError(
            f"trainer.tpu={config.trainer.tpu}: a step is one machine without a TPU: leave trainer.tpu at "
            f"{devices.LOCAL_TPU}, or train elsewhere with `diptych train`."
        )
    if root and not root.startswith(("gs://", "/")):
        raise UserError(f"--root {root}: the steps cannot write there: give a folder in gs://.")
    if not re.fullmatch(r"[\w./:@-]+", image, re.ASCII):
        raise UserError(f"--image {image!r} is no name of an image: give e.g. europe-docker.pkg.dev/project/diptych:1.")
    pipeline = dag.create_pipeline(config)
    for node in pipeline.nodes:
        if not pipeline_spec.names_path(node.component):
            node.component.check()
    _warn_of_local_paths(config)
    spec = pipeline_spec.build(
        pipeline,
        name="-".join(["diptych", *re.findall("[a-z0-9]+", preset.lower())]),  # Vertex AI takes no other characters.
        description=f"Diptych, {preset}",
        image=image,
        root=root,
        steps=steps,
    )
    storage.write_text(storage.open_path(file), _yaml(spec))
    return pipeline


def _warn_of_local_paths(config: PipelineConfig) -> None:
    for name, value, _ in describe.fields(config):
        if isinstance(value, str) and value.startswith("/") and not value.startswith(_IN_CONTAINERS):
            logging.warning(
                "%s=%s is a path on this machine: give a gs:// URL, or one that the containers have, too", name, value
            )


def _yaml(spec: pipeline_spec_pb2.PipelineSpec) -> str:
    """Returns a pipeline in YAML, as KFP's compiler writes it and KFP's loader accepts it."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "pipeline.yaml")
        pipeline_spec_builder.write_pipeline_spec_to_file(
            spec,
            pipeline_description=spec.pipeline_info.description,
            platform_spec=pipeline_spec_pb2.PlatformSpec(),
            package_path=str(file),
        )
        text = file.read_text()
    if kfp.components.load_component_from_text(text).pipeline_spec != spec:
        raise ValueError("KFP reads another pipeline than was written.")
    return text
