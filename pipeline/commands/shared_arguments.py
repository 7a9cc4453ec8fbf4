"""Arguments that several commands share, and the objects that they stand for."""

import argparse

from etils import epath

from components.errors import UserError
from pipeline import paths
from pipeline.configs import presets, resolve
from pipeline.configs.config import PipelineConfig
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root

OVERRIDES = """\
FIELD=VALUE changes one field of the config for this run, e.g. trainer.steps=100; `diptych config` lists all fields."""


def preset_list() -> str:
    """Returns the presets with their descriptions, one per line."""
    width = max(map(len, presets.PRESETS))
    return "\n".join(f"  {name:{width}}  {preset.description}" for name, preset in presets.PRESETS.items())


def add_config(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that `config` resolves."""
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
        help="use the model in DIR, at its sample rate, instead of training one (see `diptych import-panns`)",
    )
    parser.add_argument(
        "--max-quarantine",
        metavar="SHARE",
        help="fail if a larger share of the clips is quarantined, e.g. 5%% (audio_example_gen.max_quarantine)",
    )
    add_overrides(parser)


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Adds the overrides as `arguments.overrides`."""
    parser.add_argument("overrides", nargs="*", metavar="FIELD=VALUE", help="change one field, e.g. trainer.steps=100")


def add_root(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that `root` and `store` resolve."""
    parser.add_argument("--root", metavar="DIR", help="folder for everything that is written (default: runs/<preset>)")
    parser.add_argument(
        "--metadata",
        metavar="STORE",
        help="mysql://user:password@host/database or a SQLite file (default: <root>/metadata.sqlite)",
    )


def config(arguments: argparse.Namespace) -> PipelineConfig:
    """Returns the config that the arguments of `add_config` ask for.

    Raises:
        UserError: There is no such preset or field, or a value does not fit.
    """
    return resolve.resolve(
        arguments.preset,
        data=arguments.data,
        imported=arguments.imported,
        max_quarantine=arguments.max_quarantine,
        assignments=arguments.overrides,
    )


def root(arguments: argparse.Namespace) -> Root:
    """Returns the root folder that `--root` or `--preset` names.

    Raises:
        UserError: Neither is given, there is no such preset, or the root is at a URL that cannot be used.
    """
    folder = arguments.root
    if not folder:
        if not arguments.preset:
            raise UserError("Say which run: give --preset NAME or --root DIR.")
        presets.find(arguments.preset)
        folder = f"runs/{arguments.preset}"
    folder = paths.absolute(folder)
    try:
        return Root(epath.Path(folder))
    except KeyError as error:  # epath does not know the scheme of the URL.
        raise UserError(f"--root {folder} is neither a local folder nor a gs:// URL: give one of the two.") from error


def store(arguments: argparse.Namespace, *, root: Root) -> MetadataStore:
    """Opens the store that `--metadata` names, or the default store of the root.

    Raises:
        UserError: The store cannot be opened.
    """
    return MetadataStore(arguments.metadata or root.metadata_uri(), pipeline=str(root.path))
