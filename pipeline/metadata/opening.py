"""Opens the store that `--metadata` names: a SQLite file, or a MySQL database."""

import importlib.util
import os
import pathlib
import types

from beam_jobs import storage
from components import file_errors
from components.errors import UserError
from pipeline.metadata import damaged_store, sqlite
from pipeline.metadata.records import Records


def open_records(uri: str) -> Records:
    """Opens the store at `uri`.

    Args:
        uri: Path of a SQLite file, or mysql://user:password@host[:port]/database. ML Metadata keeps the latter.

    Raises:
        UserError: The URI names no store that can be opened.
    """
    if uri.startswith("mysql://"):
        if importlib.util.find_spec("ml_metadata") is None:
            raise UserError("--metadata mysql:// needs the package ml-metadata, which exists for Python 3.10 and 3.11.")
        return _open_mysql(uri)
    if storage.is_remote(uri):
        raise UserError(f"--metadata {uri} is not a store: give mysql://user:password@host/database or a local file.")
    try:
        pathlib.Path(uri).parent.mkdir(parents=True, exist_ok=True)
        return sqlite.SqliteRecords(uri)
    except (OSError, sqlite.Error) as error:
        raise _open_error(uri, error) from error


def open_read_only(uri: str) -> Records:
    """Opens the store at `uri` to read it. A SQLite file and its folder need not be writable and stay as they are.

    Raises:
        UserError: The URI names no store that can be opened.
    """
    if storage.is_remote(uri):
        return open_records(uri)
    try:
        return sqlite.ReadOnlySqliteRecords(uri)
    except (OSError, sqlite.Error) as error:
        raise _open_error(uri, error) from error


def _open_error(uri: str, error: Exception) -> UserError:
    return (
        file_errors.as_user_error(error, place=uri)
        or damaged_store.as_damage(error, place=uri)
        or UserError(
            f"The metadata store {uri} cannot be opened ({damaged_store.reason(error)}): move it away, or name another "
            "with --metadata."
        )
    )


def _open_mysql(uri: str) -> Records:
    mlmd = _import_mlmd()
    config = mlmd.mysql_config(uri)
    try:
        return mlmd.MlmdRecords(config)
    except Exception as error:  # ML Metadata raises RuntimeError for whatever MySQL reports.
        server = config.mysql
        raise UserError(
            f"The metadata store mysql://{server.host}:{server.port}/{server.database} cannot be opened "
            f"({damaged_store.reason(error)}): check that the server runs, and the host, database, user and password "
            "in --metadata."
        ) from error


def _import_mlmd() -> types.ModuleType:
    """Imports `pipeline.metadata.mlmd`, and with it the package ml-metadata."""
    # ML Metadata raises what it logs. It reads this variable when it is imported.
    os.environ.setdefault("GLOG_minloglevel", "3")
    # Imported here because ml-metadata has no build for Python 3.12.
    from pipeline.metadata import mlmd

    return mlmd


def without_password(uri: str) -> str:
    """Returns the path of a SQLite file as it is, and a URL without its user and password."""
    if not storage.is_remote(uri):
        return uri
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
