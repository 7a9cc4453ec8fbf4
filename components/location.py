"""The type of config fields that name a file or a folder."""

from typing import Annotated

import pydantic

from beam_jobs import remote_file


def _check(path: str) -> str:
    if not path:  # E.g. by a variable of a shell that is not set. It would stand for the current folder.
        raise ValueError("the path is empty: give one, or leave the field out")
    try:
        remote_file.check_url(path)
    except remote_file.UrlError as error:
        raise ValueError(str(error)) from error  # Pydantic adds the name of the field to a ValueError.
    return path


Location = Annotated[str, pydantic.AfterValidator(_check)]
"""A path on this machine or in a bucket. An empty one, or a URL of another service, is refused before a stage runs."""
