"""Says in one sentence that the metadata store is damaged, be it SQLite, ML Metadata or our parsing that finds it."""

import contextlib
from collections.abc import Iterator

from components.errors import DamagedFile, UserError

_PHRASES = ("malformed", "not a database", "corrupt", "data loss")
"""What the errors of SQLite and ML Metadata say about a damaged file; each is part of a message in lower case."""


@contextlib.contextmanager
def explained(uri: str) -> Iterator[None]:
    """Raises what a damaged store leads to as a `DamagedFile`. Other errors pass unchanged.

    Args:
        uri: The store, see `store.open_records`. The password in it is not shown.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        # A record that lacks a property, or holds text in place of JSON or of a number.
        is_wrong_record = isinstance(error, KeyError | TypeError | ValueError)
        if not is_wrong_record and not any(phrase in str(error).lower() for phrase in _PHRASES):
            raise
        raise DamagedFile(
            f"The metadata store {uri.rpartition('@')[2]} is damaged ({_reason(error)}): put a copy back, or move it "
            "away and run the same command again, and every stage runs again."
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"a record lacks {error}"
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__
