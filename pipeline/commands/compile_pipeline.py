"""`diptych compile`: writes the pipeline for Vertex AI Pipelines or Kubeflow Pipelines."""

import argparse

from pipeline.commands import exit_status
from pipeline.commands import shared_arguments as shared

SUMMARY = "write the pipeline as a file for Vertex AI or Kubeflow Pipelines"

DESCRIPTION = f"""\
Writes the pipeline of a preset as a file for Vertex AI Pipelines and Kubeflow Pipelines (KFP v2). Each stage is
a step in a container, on a machine of its own; deploy/vertex says how to build the image and start a run. Your
audio is not read: a step checks its paths when it starts.

presets:
{shared.preset_list()}

{shared.OVERRIDES}"""

EPILOG = """\
examples:
  diptych compile --preset base --data gs://my-bucket/audioset -o pipeline.yaml
  diptych compile --preset base --data gs://my-bucket/audioset --root gs://my-bucket/diptych \\
      --image europe-docker.pkg.dev/my-project/diptych/diptych:1 -o pipeline.yaml trainer.steps=100000
  diptych compile --preset tiny --data gs://my-bucket/esc50 -o tiny.yaml --step trainer.accelerator=NVIDIA_L4"""

DEFAULT_IMAGE = "diptych"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    shared.add_config(parser)
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the YAML file to write")
    parser.add_argument(
        "--image",
        default=DEFAULT_IMAGE,
        metavar="NAME",
        help=f"container image of all steps (default: {DEFAULT_IMAGE}, which only a local cluster finds)",
    )
    parser.add_argument(
        "--root", default="", metavar="DIR", help="gs:// folder for everything that is written; `submit` can change it"
    )
    parser.add_argument(
        "--step",
        metavar="STEP.FIELD=VALUE",
        action="append",
        default=[],
        help="change what a step gets: cpu, memory_gb, accelerator, accelerators, retries or caching, e.g. "
        "trainer.cpu=32 (repeatable)",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Writes the file and returns the exit status.

    Raises:
        UserError: The arguments do not fit, or KFP is not installed.
    """
    shared.check_preset(arguments)
    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    import pathlib

    from pipeline import paths
    from pipeline.commands import parsed_arguments as parsed
    from pipeline.runner.graph import section
    from pipeline.vertex import packages, steps

    packages.check("kfp", command="compile")
    # Imported here because most users have no KFP.
    from pipeline.vertex import compiling

    name = parsed.run_name(arguments)
    config = parsed.config(arguments)
    resolved = steps.resolve(config, assignments=arguments.step)
    pipeline = compiling.compile_to_file(
        config,
        pathlib.Path(paths.absolute(arguments.output)),
        preset=name,
        image=arguments.image,
        root=paths.absolute(arguments.root) if arguments.root else "",
        steps=resolved,
    )
    for stage in pipeline.stages:
        print(f"{stage:18}  {steps.described(getattr(resolved, section(stage)))}")
    print(f"Wrote {arguments.output}, in which {len(pipeline.stages)} steps run in the image {arguments.image}.")
    return exit_status.OK
