"""Turns the parsed arguments that several commands share into a config, a root and a metadata store."""

import argparse
import pathlib

from etils import epath

from components.errors import UserError
from pipeline import paths
from pipeline.configs import presets, resolve
from pipeline.configs.config import PipelineConfig
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root


def config(arguments: argparse.Namespace) -> PipelineConfig:
    """Returns the config that the arguments of `add_config` ask for.

    Raises:
        UserError: There is no such preset or field, or a value does not fit.
    """
    _check_not_empty(arguments, "config")
    return resolve.resolve(
        arguments.preset or None,
        file=arguments.config,
        data=arguments.data,
        imported=arguments.imported,
        max_quarantine=arguments.max_quarantine,
        assignments=arguments.overrides,
    )


def run_name(arguments: argparse.Namespace) -> str:
    """Returns the preset, or the name of the config's file without its suffix; "" if it has no name."""
    if arguments.preset:
        return arguments.preset
    file = pathlib.PurePath(getattr(arguments, "config", None) or "")
    return file.stem if file.suffix else ""  # A pipe has a number as its name, e.g. /dev/fd/63.


def root(arguments: argparse.Namespace) -> Root:
    """Returns the root folder that `--root`, `--preset` or `--config` names.

    Raises:
        UserError: Neither is given, there is no such preset, or the root is at a URL that cannot be used.
    """
    _check_not_empty(arguments, "root", "metadata")
    folder = arguments.root
    if not folder:
        if arguments.preset:
            presets.find(arguments.preset)
        if not run_name(arguments):
            raise UserError("Say which run: give --preset NAME or --root DIR.")
        folder = f"runs/{run_name(arguments)}"
    folder = paths.absolute(folder)
    try:
        return Root(epath.Path(folder))
    except KeyError as error:  # epath does not know the scheme of the URL.
        raise UserError(f"--root {folder} is neither a local folder nor a gs:// URL: give one of the two.") from error


def _check_not_empty(arguments: argparse.Namespace, *names: str) -> None:
    """Checks flags of places. An empty one, e.g. of a variable that is not set, would mean another place silently.

    Raises:
        UserError: One is empty.
    """
    for name in names:
        if getattr(arguments, name) == "":
            raise UserError(f"--{name} is empty: name a place, or leave it out.")


def store(arguments: argparse.Namespace, *, root: Root, read_only: bool = False) -> MetadataStore:
    """Opens the store that `--metadata` names, or the default store of the root; see `MetadataStore`.

    Raises:
        UserError: The store cannot be opened.
    """
    uri = arguments.metadata or root.metadata_uri()
    return MetadataStore(uri, pipeline=root.name, root=root.path, read_only=read_only)


def store_with_runs(arguments: argparse.Namespace, *, root: Root) -> MetadataStore:
    """Opens a store to read it.

    Raises:
        UserError: The store cannot be opened, or there is no run in it.
    """
    places = (arguments.metadata or root.metadata_uri(), str(root.path))
    opened = store(arguments, root=root, read_only=True) if all(map(paths.exists, places)) else None
    if opened is None and arguments.metadata and not paths.exists(arguments.metadata):
        raise UserError(f"--metadata {arguments.metadata}: there is no such file; name the one of {root.path}.")
    if opened is None or not opened.runs():
        raise UserError(f"There is no run under {root.path}: name another place with --root or --preset.")
    return opened
