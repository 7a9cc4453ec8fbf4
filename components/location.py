"""The type of config fields that name a file or a folder."""

from typing import Annotated

import pydantic

from beam_jobs import remote_file


def _check(path: str) -> str:
    try:
        remote_file.check_url(path)
    except remote_file.UrlError as error:
        raise ValueError(str(error)) from error  # Pydantic adds the name of the field to a ValueError.
    return path


Location = Annotated[str, pydantic.AfterValidator(_check)]
"""A path on this machine or in a bucket. A URL of another service is refused before any stage runs."""
