"""The `diptych` command."""

import argparse
import os
import pathlib
import re
import shlex
import sys
import time
import traceback
import typing
from collections.abc import Sequence

from absl import logging
from rich.console import Console

from components.errors import UserError
from pipeline import tensorflow_settings
from pipeline.configs import presets

if typing.TYPE_CHECKING:
    from pipeline.configs.config import PipelineConfig
    from pipeline.console.progress import Display
    from pipeline.metadata.store import MetadataStore
    from pipeline.root import Root
    from pipeline.runner.interrupts import Interrupted

OK, BUG, USER_ERROR = 0, 1, 2

_DESCRIPTION = """\
Learns audio embeddings by contrasting two formats of the same sound, the waveform and its spectral picture:
from raw audio to a SavedModel and the score of a probe on it, in one pipeline of stages."""

_OVERRIDES = """\
FIELD=VALUE changes one field of the config for this run, e.g. trainer.steps=100; `diptych config` lists them all."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit status: 0, 1 (a bug), 2 (the user can put it right), 130, 143."""
    arguments, rest = _parser().parse_known_args(argv)
    # argparse leaves FIELD=VALUE that stands behind an option among the unknown.
    if any(text.startswith("-") or "=" not in text for text in rest) or (rest and "overrides" not in arguments):
        arguments.parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        arguments.overrides += rest
    arguments.typed = sys.argv[1:] if argv is None else argv
    tensorflow_settings.apply()  # ahead of the command, which may import TensorFlow
    try:
        return arguments.command(arguments)
    except UserError as error:
        text = str(error)
        print(f"diptych: {text}" if text.endswith((".", "?")) else f"diptych: {text}.", file=sys.stderr)
        return USER_ERROR
    except BrokenPipeError:  # `diptych config | head`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return OK
    except KeyboardInterrupt:
        return 130


def command() -> typing.NoReturn:
    """The console script."""
    status = main()
    if status > 128:
        # Threads of TensorFlow and Beam may still be at what was stopped, and would make an orderly exit abort.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


class _Parser(argparse.ArgumentParser):
    """An argument parser that refuses in one sentence, as everything else here does."""

    def error(self, message: str) -> typing.NoReturn:
        self.exit(USER_ERROR, f"{self.prog}: {message}; `{self.prog} --help` shows what there is.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="diptych",
        description=_DESCRIPTION,
        epilog="example:\n  diptych run --preset quickstart",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_run(commands)
    _add_train(commands)
    _add_config(commands)
    _add_status(commands)
    _add_embed(commands)
    _add_import_panns(commands)
    return parser


def _add_command(commands: "argparse._SubParsersAction", name: str, **texts: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, formatter_class=argparse.RawDescriptionHelpFormatter, **texts)
    parser.set_defaults(parser=parser)
    return parser


def _preset_list() -> str:
    width = max(map(len, presets.PRESETS))
    return "\n".join(f"  {name:{width}}  {preset.description}" for name, preset in presets.PRESETS.items())


def _add_preset(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(presets.PRESETS)
    parser.add_argument("--preset", required=True, metavar="NAME", help=f"the config to start from: {names}")
    parser.add_argument(
        "--data",
        metavar="PATH",
        help="your audio: a folder (AudioSet's or ESC-50's layout, a TFDS dataset, a manifest.csv, or just audio "
        "files) or a CSV manifest",
    )
    parser.add_argument(
        "--import",
        dest="imported",
        metavar="DIR",
        help="take the model in DIR, at its sample rate, in place of training one (see `diptych import-panns`)",
    )
    parser.add_argument(
        "--max-quarantine",
        metavar="SHARE",
        help="fail if more of the clips cannot be used, e.g. 5%% (audio_example_gen.max_quarantine)",
    )
    parser.add_argument("overrides", nargs="*", metavar="FIELD=VALUE", help="change one field, e.g. trainer.steps=100")


def _add_root(parser: argparse.ArgumentParser, *, default: str) -> None:
    parser.add_argument("--root", metavar="DIR", help=f"folder for all that is written (default: {default})")
    parser.add_argument(
        "--metadata",
        metavar="STORE",
        help="mysql://user:password@host/database or a SQLite file (default: <root>/metadata.sqlite)",
    )


def _add_run(commands: "argparse._SubParsersAction") -> None:
    parser = _add_command(
        commands,
        "run",
        help="run the pipeline, skipping what has not changed",
        description="Runs the pipeline. Stages whose config, code and inputs are unchanged since they last finished\n"
        "are skipped, and a run that was stopped goes on where it was. Ends with a table of stages and scores.\n\n"
        f"presets:\n{_preset_list()}\n\n{_OVERRIDES}",
        epilog="examples:\n"
        "  diptych run --preset quickstart\n"
        "  diptych run --preset tiny --data ~/ESC-50 trainer.steps=500\n"
        "  diptych run --preset tiny --data ~/ESC-50 --from Exporter\n"
        "  diptych run --preset tiny --data ~/ESC-50 --import runs/imported/cnn14",
    )
    _add_preset(parser)
    _add_root(parser, default="runs/<preset>")
    parser.add_argument(
        "--force", metavar="STAGE", action="append", default=[], help="run STAGE even if nothing changed (repeatable)"
    )
    parser.add_argument(
        "--from",
        dest="from_stage",
        metavar="STAGE",
        help="run STAGE and all that depends on it, and take the other stages' last outputs as they are",
    )
    parser.add_argument("--until", dest="until_stage", metavar="STAGE", help="run STAGE and what it needs, no more")
    parser.set_defaults(command=_run)


def _add_train(commands: "argparse._SubParsersAction") -> None:
    parser = _add_command(
        commands,
        "train",
        help="train on examples that are there, on one machine or on many",
        description="Runs the Trainer alone, without the pipeline's metadata: the same command on each machine that\n"
        "takes part. Stopped or killed, it goes on from its last checkpoint. `diptych run --import OUTPUT/model`\n"
        f"then exports and scores the model.\n\npresets:\n{_preset_list()}\n\n{_OVERRIDES}",
        epilog="examples:\n"
        "  diptych train --preset small --examples runs/tiny/artifacts/AudioExampleGen/examples/2 --output runs/small\n"
        "  diptych train --preset final --examples gs://b/examples --output gs://b/final trainer.strategy=tpu\n"
        "  diptych train --preset base --examples /nfs/examples --output /nfs/base trainer.micro_batch=64",
    )
    parser.add_argument("--preset", required=True, metavar="NAME", help="the config to start from, of its Trainer")
    parser.add_argument("--examples", required=True, metavar="DIR", help="the examples, as AudioExampleGen wrote them")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the model, checkpoints and events")
    parser.add_argument("overrides", nargs="*", metavar="FIELD=VALUE", help="change one field, e.g. trainer.steps=100")
    parser.set_defaults(command=_train, data=None, imported=None, max_quarantine=None)


def _add_config(commands: "argparse._SubParsersAction") -> None:
    parser = _add_command(
        commands,
        "config",
        help="print a preset's config with what each field means",
        description=f"Prints every field of a preset's config: name, value, meaning.\n\npresets:\n{_preset_list()}"
        f"\n\n{_OVERRIDES}",
        epilog="example:\n  diptych config --preset tiny trainer.steps=500",
    )
    _add_preset(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON, without the meanings")
    parser.set_defaults(command=_config)


def _add_status(commands: "argparse._SubParsersAction") -> None:
    parser = _add_command(
        commands,
        "status",
        help="show how the last run stands or ended",
        description="Shows the table of the last run under a root, from its metadata; also while it is running.",
        epilog="example:\n  diptych status --preset quickstart",
    )
    parser.add_argument("--preset", metavar="NAME", help="look under runs/NAME")
    _add_root(parser, default="runs/<preset>")
    parser.set_defaults(command=_status)


def _add_embed(commands: "argparse._SubParsersAction") -> None:
    parser = _add_command(
        commands,
        "embed",
        help="embed audio files with an exported model",
        description="Embeds audio files with an exported SavedModel and writes a NumPy archive: path, embedding, and\n"
        "one array per format. Files of any length, rate and common codec; long ones are embedded as the mean of\n"
        "their sub-clips.",
        epilog="example:\n  diptych embed --model runs/quickstart/artifacts/Exporter/saved_model/7 *.wav",
    )
    parser.add_argument("--model", required=True, metavar="DIR", help="the SavedModel, as `diptych run` names it")
    parser.add_argument("--output", default="embeddings.npz", metavar="FILE", help="default: embeddings.npz")
    parser.add_argument("files", nargs="+", metavar="PATH", help="audio files, or folders of them")
    parser.set_defaults(command=_embed)


def _add_import_panns(commands: "argparse._SubParsersAction") -> None:
    parser = _add_command(
        commands,
        "import-panns",
        help="make a supervised network of PANNs a model to compare with",
        description="Reads a .pth file as PANNs (Kong et al. 2020) published them for CNN6, CNN10, CNN14, ResNet22,\n"
        "ResNet38, ResNet54, Res1dNet31 and Res1dNet51, and writes the network without its linear layers, with its\n"
        "own front end, as a model for `diptych run --import`.",
        epilog="example:\n"
        "  diptych import-panns Cnn14_mAP=0.431.pth --output runs/imported/cnn14\n"
        "  diptych run --preset tiny --data ~/ESC-50 --import runs/imported/cnn14",
    )
    parser.add_argument("checkpoint", metavar="FILE.pth", help="the checkpoint")
    parser.add_argument("--output", metavar="DIR", help="folder to make (default: runs/imported/FILE)")
    parser.add_argument(
        "--crop-seconds",
        type=float,
        default=10.0,
        metavar="S",
        help="length of the sub-clips whose embeddings are averaged; default: 10, the clips that PANNs were trained on",
    )
    parser.set_defaults(command=_import_panns)


def _import_panns(arguments: argparse.Namespace) -> int:
    from components.importer import panns as import_panns

    output = arguments.output or f"runs/imported/{pathlib.Path(arguments.checkpoint).stem}"
    summary = import_panns.import_checkpoint(arguments.checkpoint, output=output, crop_seconds=arguments.crop_seconds)
    print(f"{summary}, in {output}")
    print(f"Compare: diptych run --preset tiny --data PATH --import {shlex.quote(output)}")
    return OK


def _train(arguments: argparse.Namespace) -> int:
    config = _resolve(arguments).trainer
    from pipeline.console import progress
    from pipeline.runner import interrupts
    from pipeline.runner import train_alone as train

    display = progress.Display()
    with interrupts.raised():
        try:
            train.train(
                config,
                examples=_absolute(arguments.examples),
                output=_absolute(arguments.output),
                display=display,
            )
        except interrupts.Interrupted as stop:
            return _stopped(stop, display)
    return OK


def _stopped(stop: "Interrupted", display: "Display") -> int:
    by = "Ctrl-C" if stop.signal.name == "SIGINT" else stop.signal.name
    display.say(f"Stopped by {by}: nothing half-done was published, the same command goes on from here.")
    return 128 + stop.signal


def _embed(arguments: argparse.Namespace) -> int:
    from pipeline.serving import embed_files as embed

    done, left_out = embed.embed_files(arguments.model, arguments.files, output=arguments.output)
    for path, reason in left_out.items():
        print(f"diptych: {path} left out: {reason}", file=sys.stderr)
    print(f"{done} files embedded, {len(left_out)} left out, in {arguments.output}")
    return OK


def _run(arguments: argparse.Namespace) -> int:
    config = _resolve(arguments)
    from pipeline import dag
    from pipeline.console import logs, progress, report
    from pipeline.runner import interrupts
    from pipeline.runner import local as runner

    pipeline = dag.create_pipeline(config)
    root = _root(arguments)
    display = progress.Display()
    with root.lock(), interrupts.raised():
        file = pathlib.Path(root.path if root.is_local else "runs") / "logs" / f"{time.strftime('%Y%m%d-%H%M%S')}.log"
        with logs.to_file(file, console=display.console):
            logging.info("diptych %s", _without_passwords(arguments.typed))
            logging.info("config %s", config.model_dump_json())
            store = _store(arguments, root)
            try:
                run = runner.LocalRunner(root, store=store, display=display).run(
                    pipeline,
                    preset=arguments.preset,
                    force=arguments.force,
                    from_stage=arguments.from_stage,
                    until_stage=arguments.until_stage,
                )
            except UserError as error:
                logging.info("stopped: %s", error)
                raise
            except interrupts.Interrupted as stop:
                return _stopped(stop, display)
            except Exception:
                logging.info("%s", traceback.format_exc())
                traceback.print_exc()
                print(f"diptych: this is a bug in Diptych; the log is {file}", file=sys.stderr)
                return BUG
            result = report.build(store, run, root=root)
            root.report.write_text(result.to_json())
            report.show(result, display.console)
    return OK


def _config(arguments: argparse.Namespace) -> int:
    import textwrap

    from pipeline.configs import overrides

    config = _resolve(arguments)
    if arguments.json:
        print(config.model_dump_json(indent=2))
        return OK
    section = ""
    for name, value, description in overrides.fields(config):
        head = name.split(".")[0]
        if head != section:
            print("" if section else f"# Config of preset {arguments.preset}")
            section = head
        print(f"{name} = {overrides.shown(value)}")
        print(textwrap.indent(textwrap.fill(description, 96), "    "))
    return OK


def _status(arguments: argparse.Namespace) -> int:
    from pipeline.console import report

    root = _root(arguments)
    nothing = UserError(f"There is no run under {root.path}: name another place with --root or --preset.")
    if not root.path.exists() or (
        root.is_local and not arguments.metadata and not (root.path / "metadata.sqlite").exists()
    ):
        raise nothing
    store = _store(arguments, root)
    runs = store.runs()
    if not runs:
        raise nothing
    report.show(report.build(store, runs[-1], root=root, is_live=root.is_locked()), Console())
    return OK


def _resolve(arguments: argparse.Namespace) -> "PipelineConfig":
    """The config that the arguments ask for."""
    presets.find(arguments.preset)
    from pipeline.configs import overrides

    config = presets.config(arguments.preset)
    if arguments.data == "":
        raise UserError("--data is empty: give the folder of your audio.")
    if arguments.data is not None:
        source = {"audio_example_gen.source": _absolute(arguments.data)}
        config = overrides.replace(config, {"synthetic_audio_gen": None, **source})
    if arguments.imported is not None:
        from components import importer

        folder = _absolute(arguments.imported)
        rate = {"audio_example_gen.sample_rate": importer.read_model_config(folder)["sample_rate"]}
        config = overrides.replace(config, {"importer.model": folder, **rate})
    given = list(arguments.overrides)
    if arguments.max_quarantine is not None:
        given.append(f"audio_example_gen.max_quarantine={arguments.max_quarantine}")
    return overrides.override(config, given)


def _root(arguments: argparse.Namespace) -> "Root":
    from etils import epath

    from pipeline.root import Root

    if not arguments.root:
        if not arguments.preset:
            raise UserError("Say which run: give --preset NAME or --root DIR.")
        presets.find(arguments.preset)
    place = _absolute(arguments.root or f"runs/{arguments.preset}")
    try:
        return Root(epath.Path(place))
    except KeyError as error:  # a scheme that epath does not know
        raise UserError(f"--root {place} is neither a folder nor gs://: name one.") from error


def _without_passwords(typed: Sequence[str]) -> str:
    """The command line as the log file may keep it."""
    return re.sub(r"(://[^:/@\s]*):\S*@", r"\1:...@", shlex.join(typed))


def _absolute(path: str) -> str:
    return path if "://" in path else str(pathlib.Path(path).expanduser().absolute())


def _store(arguments: argparse.Namespace, root: "Root") -> "MetadataStore":
    from pipeline.metadata import store as metadata

    return metadata.MetadataStore(arguments.metadata or root.metadata_uri(), pipeline=str(root.path))


if __name__ == "__main__":
    command()
