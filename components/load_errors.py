"""Says what is wrong with a model that a user named and that cannot be loaded."""

import contextlib
from collections.abc import Iterator

from beam_jobs import error_text
from components.errors import UserError


@contextlib.contextmanager
def as_user_errors(failure: str, *, way_out: str) -> Iterator[None]:
    """Turns any error within the `with` block but a `UserError` into one.

    Args:
        failure: What failed, e.g. "model.keras cannot be loaded". The reason follows it.
        way_out: What the user can do.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # TensorFlow and Keras raise errors of many types for damaged files.
        raise UserError(f"{failure} ({error_text.first_line(error)}): {way_out}.") from error
