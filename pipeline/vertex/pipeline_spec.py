"""Describes a pipeline as a PipelineSpec, the format of KFP v2 and of Vertex AI Pipelines.

KFP's own compiler starts from Python functions whose signatures are the channels. Diptych's channels are data, so the
same messages are filled in here, as TFX does for Vertex AI. Tests compare them with what KFP's compiler writes, and
`compiling` lets KFP's loader check them.
"""

import dataclasses
import json

import kfp
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2 as kfp_pb2

from components.base import ArtifactType, Component
from pipeline.runner.graph import Node, Pipeline, section
from pipeline.vertex.steps import StepConfig, StepsConfig

ROOT = "root"
"""Name of the pipeline's parameter with the folder for checkpoints and TensorBoard's events."""

_DIGEST = "_digest"
"""Ending of the name of a parameter with a digest of what a step reads from outside the pipeline.

No container gets it. KFP reuses outputs only if all parameters are the same, and cannot see whether a bucket changed.
"""

_OURS = (ArtifactType.AUDIO_CLIPS, ArtifactType.EMBEDDINGS)
"""Artifact types that TFX does not have."""

_FIRST_RETRY_S = 150
"""Time before the first retry: a lost machine keeps its lease of the work folder for up to two minutes."""

_TEXT = kfp_pb2.ParameterType.STRING


def build(
    pipeline: Pipeline, *, name: str, description: str, image: str, root: str, steps: StepsConfig
) -> kfp_pb2.PipelineSpec:
    """Returns the description of a pipeline.

    Args:
        pipeline: The pipeline.
        name: Its name, of lower-case letters, digits and hyphens.
        description: A line for KFP's and Vertex AI's pages.
        image: The container image of all steps.
        root: Folder for artifacts, checkpoints and events; "" leaves the choice to whoever submits it.
        steps: What each step gets.
    """
    spec = kfp_pb2.PipelineSpec(
        schema_version="2.1.0", sdk_version=f"kfp-{kfp.__version__}", default_pipeline_root=root
    )
    spec.pipeline_info.name = name
    spec.pipeline_info.description = description
    _add_parameter(
        spec, ROOT, default=root, description="Folder for checkpoints and TensorBoard; empty: beside outputs."
    )
    deployment = kfp_pb2.PipelineDeploymentConfig()
    for node in pipeline.nodes:
        step = getattr(steps, section(node.name))
        task = task_name(node.name)
        parameters = [ROOT]
        if reads_outside(node.component):
            parameters.append(section(node.name) + _DIGEST)
            _add_parameter(spec, parameters[-1], description=f"Change it when what {node.name} reads has changed.")
        spec.components[f"comp-{task}"].CopyFrom(_component(node, parameters=parameters))
        spec.root.dag.tasks[task].CopyFrom(_task(node, parameters=parameters, step=step))
        deployment.executors[f"exec-{task}"].container.CopyFrom(_container(node, image=image, step=step))
    spec.deployment_spec.update(json_format.MessageToDict(deployment))
    return spec


def task_name(stage: str) -> str:
    """Returns the name of a stage in KFP, e.g. "audio-example-gen"."""
    return section(stage).replace("_", "-")


def reads_outside(component: Component) -> bool:
    """Returns whether a component reads a file or folder that its config names."""
    return type(component).external_digests is not Component.external_digests and names_path(component)


def names_path(component: Component) -> bool:
    """Returns whether a component's config names a file, a folder or a URL."""
    return "/" in component.config.model_dump_json()


@dataclasses.dataclass(frozen=True, kw_only=True)
class DigestedStep:
    """A step that reads from outside.

    Attributes:
        arguments: Those of its container.
        caching: Whether KFP may reuse its outputs.
    """

    arguments: list[str]
    caching: bool


def digest_parameters(spec: kfp_pb2.PipelineSpec) -> dict[str, DigestedStep]:
    """Returns the parameters that hold a digest, each with the step that it belongs to."""
    found = {}
    for task in spec.root.dag.tasks.values():
        component = spec.components[task.component_ref.name]
        for name in component.input_definitions.parameters:
            if name.endswith(_DIGEST):
                container = spec.deployment_spec["executors"][component.executor_label]["container"]
                arguments = list(container["args"])
                found[name] = DigestedStep(arguments=arguments, caching=task.caching_options.enable_cache)
    return found


def _add_parameter(spec: kfp_pb2.PipelineSpec, name: str, *, default: str = "", description: str) -> None:
    parameter = spec.root.input_definitions.parameters[name]
    parameter.parameter_type = _TEXT
    parameter.default_value.string_value = default
    parameter.is_optional = True
    parameter.description = description


def _component(node: Node, *, parameters: list[str]) -> kfp_pb2.ComponentSpec:
    """Returns the interface of a step."""
    spec = kfp_pb2.ComponentSpec(executor_label=f"exec-{task_name(node.name)}")
    for channel in node.inputs:
        artifact = spec.input_definitions.artifacts[channel]
        artifact.artifact_type.CopyFrom(_artifact_type(node.component.inputs[channel]))
    for channel, artifact_type in node.component.outputs.items():
        spec.output_definitions.artifacts[channel].artifact_type.CopyFrom(_artifact_type(artifact_type))
    for name in parameters:
        spec.input_definitions.parameters[name].parameter_type = _TEXT
    return spec


def _artifact_type(artifact_type: ArtifactType) -> kfp_pb2.ArtifactTypeSchema:
    """Returns an artifact type as TFX declares it on Vertex AI.

    A schema, because a bare `schema_title` must be one of KFP's or Google's own types, or be registered before.
    """
    owner = "diptych" if artifact_type in _OURS else "tfx"
    return kfp_pb2.ArtifactTypeSchema(instance_schema=f"title: {owner}.{artifact_type.value}\ntype: object\n")


def _task(node: Node, *, parameters: list[str], step: StepConfig) -> kfp_pb2.PipelineTaskSpec:
    """Returns a step's place in the pipeline."""
    task = kfp_pb2.PipelineTaskSpec()
    task.task_info.name = node.name
    task.component_ref.name = f"comp-{task_name(node.name)}"
    task.caching_options.enable_cache = step.caching
    for channel, source in node.inputs.items():
        artifact = task.inputs.artifacts[channel].task_output_artifact
        artifact.producer_task = task_name(source.stage)
        artifact.output_artifact_key = source.output
    for name in parameters:
        task.inputs.parameters[name].component_input_parameter = name
    task.dependent_tasks.extend(sorted({task_name(source.stage) for source in node.inputs.values()}))
    if step.retries:
        task.retry_policy.max_retry_count = step.retries
        task.retry_policy.backoff_duration.FromSeconds(_FIRST_RETRY_S)
        task.retry_policy.backoff_factor = 2.0
        task.retry_policy.backoff_max_duration.FromSeconds(3600)
    return task


def _container(node: Node, *, image: str, step: StepConfig) -> kfp_pb2.PipelineDeploymentConfig.PipelineContainerSpec:
    """Returns the command line of a step, with KFP's placeholders, and its machine."""
    component = node.component
    arguments = [
        *(node.name, "--component-version", str(component.version)),
        *("--exec-properties", json.dumps(component.config.model_dump(mode="json"), sort_keys=True)),
        *("--root", f"{{{{$.inputs.parameters['{ROOT}']}}}}"),
    ]
    for channel in node.inputs:
        arguments += ["--input", channel, f"{{{{$.inputs.artifacts['{channel}'].uri}}}}"]
    for channel in component.outputs:
        arguments += ["--output", channel, f"{{{{$.outputs.artifacts['{channel}'].uri}}}}"]
    container = kfp_pb2.PipelineDeploymentConfig.PipelineContainerSpec(
        image=image, command=["diptych", "run-component"], args=[*arguments, "--executor-input", "{{$}}"]
    )
    # KFP's compiler sets both of each pair, too: older backends read the first, and newer ones the second.
    machine = container.resources
    machine.cpu_limit, machine.resource_cpu_limit = step.cpu, str(step.cpu)
    machine.memory_limit, machine.resource_memory_limit = step.memory_gb, f"{step.memory_gb}G"
    if step.accelerator:
        accelerator = machine.accelerator
        accelerator.type = accelerator.resource_type = step.accelerator
        accelerator.count, accelerator.resource_count = step.accelerators, str(step.accelerators)
    return container
