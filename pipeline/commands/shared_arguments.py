"""Arguments that several commands share. `parsed_arguments` turns them into objects."""

import argparse

from pipeline.configs import presets
from pipeline.console.stalls import STALL_MINUTES

OVERRIDES = """\
FIELD=VALUE changes one field of the config for this run, e.g. trainer.steps=100; `diptych config` lists all fields.
--config FILE sets the fields that a JSON file names, e.g. what `diptych config --json` printed. The config is
that of --preset, then --config, then --data and --import, then FIELD=VALUE."""

BUNDLED = "tiny-v1, which comes with Diptych"
"""The model that needs no path, for the help of `--model`."""


def preset_list() -> str:
    """Returns the presets with their descriptions, one per line."""
    width = max(map(len, presets.PRESETS))
    return "\n".join(f"  {name:{width}}  {preset.description}" for name, preset in presets.PRESETS.items())


def add_config(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that `config` resolves."""
    add_preset(parser, help=f"the config to start from: {', '.join(presets.PRESETS)}")
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
        help="use the model in DIR, at its sample rate, instead of training one (see `diptych import-panns`)",
    )
    parser.add_argument(
        "--max-quarantine",
        metavar="SHARE",
        help="fail if a larger share of the clips is quarantined, e.g. 5%% (audio_example_gen.max_quarantine)",
    )
    add_overrides(parser)


def add_preset(parser: argparse.ArgumentParser, *, help: str) -> None:
    """Adds `--preset`, with the given help, and `--config`, of which `check_preset` demands one."""
    parser.add_argument("--preset", metavar="NAME", help=help)
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="a JSON file that sets fields of the config, all or some, as `diptych config --json` prints them; without "
        "--preset its name is that of the run",
    )


def check_preset(arguments: argparse.Namespace) -> None:
    """Ends the process with a sentence if neither of the arguments of `add_preset` is given."""
    if not arguments.preset and not arguments.config:
        arguments.parser.error("the following arguments are required: --preset, or --config")


def add_overrides(parser: argparse.ArgumentParser, *, example: str = "trainer.steps=100") -> None:
    """Adds the overrides as `arguments.overrides`. The example is for the help, so the command has to take it."""
    parser.add_argument("overrides", nargs="*", metavar="FIELD=VALUE", help=f"change one field, e.g. {example}")


def add_root(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that `root` and `store` resolve."""
    parser.add_argument(
        "--root",
        metavar="DIR",
        help="folder of the runs of one pipeline, with everything that they write (default: runs/<preset>)",
    )
    parser.add_argument(
        "--metadata",
        metavar="STORE",
        help="mysql://user:password@host/database or a SQLite file (default: <root>/metadata.sqlite)",
    )


def add_stall_alarm(parser: argparse.ArgumentParser) -> None:
    """Adds the argument of `pipeline.console.stalls`."""
    parser.add_argument(
        "--stall-alarm",
        metavar="MINUTES",
        type=float,
        default=STALL_MINUTES,
        help=f"say so when a stage makes no progress for so long; 0: never (default: {STALL_MINUTES:g})",
    )


def add_hourly_cost(parser: argparse.ArgumentParser) -> None:
    """Adds the argument of a command that runs one stage, see `pipeline.console.estimates`."""
    parser.add_argument(
        "--hourly-cost",
        metavar="COST",
        type=float,
        help="what an hour costs, e.g. of a TPU, in any currency; the estimate then says what the stage costs",
    )


def add_embeddings(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Adds the arguments that `pipeline.vectors.stored.open_vectors` opens."""
    parser.add_argument(
        "--embeddings",
        required=required,
        metavar="E",
        help="a Parquet file of `diptych embed`, or a folder that the Embedder published",
    )
    parser.add_argument(
        "--features",
        default="",
        metavar="NAME",
        help="which vectors: a column of the file (default: embedding), or a set of features of the folder as in "
        "metrics.json, e.g. log_mel or untrained/both (default: both)",
    )
