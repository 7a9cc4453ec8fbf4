"""`diptych evaluate`: evaluates a model on labeled audio."""

import argparse

from components.errors import UserError
from pipeline.commands import shared_arguments as shared

SUMMARY = "evaluate a model on labeled audio"

DESCRIPTION = """\
Embeds labeled audio with a model and with what it is compared with, probes the embeddings, and writes a report:
report.html, metrics.json and TensorBoard. The audio is anything that `diptych run --data` takes and that has
labels, or a folder with a sub-folder for each class. The model is a SavedModel of Diptych, any SavedModel,
TFLite or ONNX file that maps waveforms to vectors, or NAME=PATH as for --baseline. The same command continues an
evaluation that was stopped, and repeats no work."""

EPILOG = """\
examples:
  diptych evaluate --model runs/tiny/artifacts/Exporter/saved_model/5 --data ~/sounds
  diptych evaluate --model MODEL --data ~/ESC-50 --baseline random_projection --robustness
  diptych evaluate --model MODEL --data ~/ESC-50 --baseline musicnn=musicnn-0.1.0-py3-none-any.whl"""

_ROBUSTNESS_CLIPS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("--model", required=True, metavar="MODEL", help=f"the model; or {shared.BUNDLED}")
    parser.add_argument("--data", required=True, metavar="PATH", help="the labeled audio")
    parser.add_argument(
        "--baseline",
        metavar="SPEC",
        action="append",
        default=[],
        help="what to compare it with, besides mfcc_mean_std and its own untrained encoders (repeatable): a name such "
        "as log_mel_mean_std or random_projection, or NAME=PATH",
    )
    parser.add_argument(
        "--robustness",
        action="store_true",
        help=f"also measure what noise, gain, shifts, codecs and resampling do to {_ROBUSTNESS_CLIPS} clips",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        default="runs/evaluate",
        help="folder for everything that is written (default: runs/evaluate)",
    )
    shared.add_overrides(parser, example="evaluator.probe=mlp")


def execute(arguments: argparse.Namespace) -> int:
    """Evaluates, prints the report and returns the exit status.

    Raises:
        UserError: The arguments do not fit, or a stage raised it.
    """
    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    from etils import epath

    from pipeline import paths
    from pipeline.commands import running
    from pipeline.console.progress import Display
    from pipeline.console.report import Report
    from pipeline.evaluation import config, dag
    from pipeline.metadata.store import MetadataStore
    from pipeline.root import Root

    resolved = config.resolve(
        model=arguments.model, data=arguments.data, baselines=arguments.baseline, assignments=arguments.overrides
    )
    root = Root(epath.Path(paths.absolute(arguments.output)), flag="--output")
    if not root.is_local:
        raise UserError(f"--output {arguments.output}: the metadata of an evaluation are a file: give a local folder.")
    uri = root.metadata_uri()

    def finish(result: Report, display: Display) -> None:
        # Imported here because it imports TensorFlow, and the stages may not need it.
        from pipeline.evaluation import reporting

        reporting.report(
            result,
            root=root,
            config=resolved,
            model=arguments.model,
            data=arguments.data,
            robustness_clips=_ROBUSTNESS_CLIPS if arguments.robustness else 0,
            display=display,
        )

    return running.run(
        dag.create_pipeline(resolved),
        root=root,
        open_store=lambda: MetadataStore(uri, pipeline=root.name, root=root.path),
        typed=arguments.typed,
        config=resolved,
        preset="evaluate",
        finish=finish,
    )
