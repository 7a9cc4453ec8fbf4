"""Says in one sentence that the metadata store is damaged, be it SQLite, ML Metadata or our parsing that finds it."""

import contextlib
from collections.abc import Iterator

from beam_jobs import error_text
from components.errors import DamagedFile

_PHRASES = ("malformed", "not a database", "corrupt", "data loss", "could not decode to utf-8")
"""What the errors of SQLite and ML Metadata say about a damaged file; each is part of a message in lower case."""

_MAX_REASON_LENGTH = 200


@contextlib.contextmanager
def explained(place: str) -> Iterator[None]:
    """Raises what SQLite and ML Metadata say about a damaged file as a `DamagedFile`. Other errors pass unchanged.

    Args:
        place: What to name, without a password.
    """
    try:
        yield
    except DamagedFile:  # It is said already.
        raise
    except Exception as error:
        damage = as_damage(error, place=place)
        if damage is None:
            raise
        raise damage from error


def as_damage(error: Exception, *, place: str) -> DamagedFile | None:
    """Returns what to tell the user about an error of SQLite or ML Metadata, or None if it tells of no damage."""
    if not any(phrase in str(error).lower() for phrase in _PHRASES):
        return None
    return _damaged(place, reason(error))


def reason(error: Exception) -> str:
    """Returns the message of SQLite or MySQL without the query that ML Metadata puts around it."""
    message = str(error).removeprefix("Error when executing query: ").partition(" query:")[0]
    return message.partition("\n")[0].strip(" ,:")


@contextlib.contextmanager
def wrong_records_explained(place: str) -> Iterator[None]:
    """Raises `DamagedFile` if a record lacks a property, or holds text in place of JSON or of a number.

    Only parse records in the block: the errors of other code would be taken for damage.

    Args:
        place: What to name, without a password.
    """
    try:
        yield
    except KeyError as error:
        raise _damaged(place, f"a record lacks {error}") from error
    except (TypeError, ValueError) as error:
        raise _damaged(place, error_text.first_line(error)) from error


def _damaged(place: str, reason: str) -> DamagedFile:
    message = (
        f"The metadata store {place} is damaged ({reason[:_MAX_REASON_LENGTH]}): put a copy back, or move it away and "
        "run the same command again, and every stage runs again."
    )
    return DamagedFile(message, path=place)
