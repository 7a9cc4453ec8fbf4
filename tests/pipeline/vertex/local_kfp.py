"""Runs a compiled pipeline with KFP's local runner, which puts its values in the place of the placeholders."""

import dataclasses
import json
import pathlib

from kfp import components, local
from kfp.local import config, pipeline_orchestrator, status, subprocess_task_handler


@dataclasses.dataclass
class Steps:
    """What KFP's local runner did.

    Attributes:
        folder: Where the artifacts are, in a folder for each step.
        commands: The command line of each step, in order.
    """

    folder: pathlib.Path
    commands: list[list[str]]

    def artifact(self, *, task, channel):
        return self.folder / task / channel

    def metadata(self, *, task, channel):
        output = json.loads((self.folder / task / "executor_output.json").read_text())
        (artifact,) = output["artifacts"][channel]["artifacts"]
        return artifact["metadata"]


def run(file, folder, monkeypatch, *, execute, tasks=None, **arguments):
    """Runs a pipeline file.

    Args:
        file: What `diptych compile` wrote.
        folder: The pipeline root.
        monkeypatch: Puts KFP's settings back.
        execute: Called with the command line of each step; returns its exit status.
        tasks: The tasks to run; all by default.
        arguments: Parameters of the pipeline.
    """
    commands = []

    class Handler(subprocess_task_handler.SubprocessTaskHandler):
        """KFP runs containers by Docker alone. This one takes the process for the container."""

        def __init__(self, image, full_command, pipeline_root, runner):
            commands.append(full_command)

        def run(self):
            return status.Status.FAILURE if execute(commands[-1]) else status.Status.SUCCESS

    monkeypatch.setattr(subprocess_task_handler, "SubprocessTaskHandler", Handler)
    monkeypatch.setattr(config.LocalExecutionConfig, "instance", None)
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder))
    spec = components.load_component_from_file(str(file)).pipeline_spec
    for task in set(spec.root.dag.tasks) - set(tasks or spec.root.dag.tasks):
        del spec.root.dag.tasks[task]
    pipeline_orchestrator.run_local_pipeline(spec, arguments)
    (place,) = pathlib.Path(folder).iterdir()
    return Steps(folder=place, commands=commands)
