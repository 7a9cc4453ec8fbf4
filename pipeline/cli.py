"""The command line `diptych`: its parser and `main`."""

import argparse
import io
import os
import re
import sys
import types
import typing
import warnings
from collections.abc import Iterator, Mapping, Sequence

from beam_jobs import command_lines, remote_file
from components import file_errors
from components.errors import UserError
from pipeline import tensorflow_settings, user_settings
from pipeline.commands import (
    ablate,
    classify,
    client,
    compile_pipeline,
    config,
    diff,
    embed,
    evaluate,
    exit_status,
    gc,
    import_panns,
    lineage,
    run,
    run_component,
    runs,
    search,
    serve,
    status,
    submit,
    train,
)

COMMANDS: Mapping[str, types.ModuleType] = {
    "run": run,
    "train": train,
    "config": config,
    "status": status,
    "runs": runs,
    "lineage": lineage,
    "diff": diff,
    "gc": gc,
    "embed": embed,
    "evaluate": evaluate,
    "ablate": ablate,
    "search": search,
    "classify": classify,
    "serve": serve,
    "client": client,
    "import-panns": import_panns,
    "compile": compile_pipeline,
    "submit": submit,
    "run-component": run_component,
}
"""The modules of the commands in the order of `diptych --help`; see `pipeline.commands`."""

_DESCRIPTION = """\
Learns audio embeddings by contrasting two formats of the same sound, e.g. its waveform and its log-mel
spectrogram. One pipeline of stages leads from raw audio to a SavedModel and its score in a probe."""

_EPILOG = """\
example:
  diptych run --preset quickstart"""


_OTHER_URLS = ("metadata", "root", "server", "typed")
"""Arguments with URLs of other kinds, or that are checked elsewhere."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: The arguments; by default those of the process.

    Returns:
        The exit status: 0, 1 for a bug, 2 for what the user can correct, 130 after Ctrl-C, 143 after SIGTERM, 129 after
            SIGHUP.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # A terminal or a pipe may not be able to show every name.
        sys.stdout.reconfigure(errors="backslashreplace")
    typed = sys.argv[1:] if argv is None else argv
    arguments = _parse(typed)
    # Applied before the command runs, because it may import TensorFlow.
    tensorflow_settings.apply()
    user_settings.apply()
    # Google's packages warn, ten times over, that they will leave this version of Python in some years.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.api_core\._python_version_support")
    try:
        with file_errors.as_user_errors(place="The current folder", service="Cloud Storage"):
            _check_urls(arguments)
            return COMMANDS[arguments.command].execute(arguments)
    except UserError as error:
        print(f"diptych: {_with_full_stop(str(error))}", file=sys.stderr)
        return exit_status.USER_ERROR
    except BrokenPipeError:  # The reader of `diptych config | head` has ended.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return exit_status.OK
    except KeyboardInterrupt:
        return 130


def _check_urls(arguments: argparse.Namespace) -> None:
    """Checks that all URLs are of places that can be read.

    Raises:
        UserError: One is not.
    """
    for name, given in vars(arguments).items():
        if name not in _OTHER_URLS:
            for value in _strings(given):
                if re.match(r"\w+://", value):
                    remote_file.check_url(value)


def _strings(given: object) -> Iterator[str]:
    """Yields the strings of an argument, which may be given several times, or have several parts."""
    if isinstance(given, str):
        yield given
    elif isinstance(given, list):
        for part in given:
            yield from _strings(part)


def command() -> typing.NoReturn:
    """Runs the command line and exits. The console script `diptych` calls it by `pipeline.command`."""
    exit_code = main()
    if exit_code > 128:
        # A signal stopped the command. Threads of TensorFlow and Beam may still run, and Python's normal exit would
        # crash the process while they do.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)
    sys.exit(exit_code)


class _Parser(argparse.ArgumentParser):
    """Reports an error in one sentence, like the rest of Diptych."""

    def error(self, message: str) -> typing.NoReturn:
        usage = command_lines.diptych(*self.prog.split()[1:], "--help")
        self.exit(exit_status.USER_ERROR, f"{self.prog}: {message}; `{usage}` shows how to use it.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="diptych",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for name, module in COMMANDS.items():
        subparser = subparsers.add_parser(
            name,
            help=module.SUMMARY,
            description=module.DESCRIPTION,
            epilog=module.EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        subparser.set_defaults(parser=subparser)
        module.add_arguments(subparser)
    return parser


def _parse(typed: Sequence[str]) -> argparse.Namespace:
    """Parses a command line.

    Returns:
        The arguments of the command with `command`, its name, and `typed`, the whole command line.
    """
    arguments, rest = _parser().parse_known_args(typed)
    # argparse does not recognize overrides that stand behind an option.
    has_overrides = "overrides" in arguments
    for text in rest:
        if text.startswith("-") or "=" not in text or not has_overrides:
            arguments.parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if has_overrides:
        arguments.overrides += rest
    arguments.typed = typed
    return arguments


def _with_full_stop(sentence: str) -> str:
    if sentence.endswith((".", "?")):
        return sentence
    return f"{sentence}."


if __name__ == "__main__":
    command()
