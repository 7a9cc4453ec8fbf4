"""Removes files on Cloud Storage with Google's client, see `google_storage`."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence

from beam_jobs.google_client import client, in_parallel, retrying
from beam_jobs.google_storage import NAMES, Place, missing_files

BATCH = 100
"""Number of files that one request removes. Cloud Storage accepts no more."""

_PAUSES_S = (0.0, 1.0, 4.0, 16.0)
"""Before each try to remove what is left of a folder."""


def remove(path: str | os.PathLike[str]) -> None:
    """Removes a file.

    Raises:
        FileNotFoundError: There is no such file.
    """
    # Imported here because it comes with an extra.
    from google.api_core import exceptions

    tries = 0

    def delete() -> None:
        nonlocal tries
        tries += 1
        try:
            Place.of(path).blob().delete(retry=None)
        except exceptions.NotFound:
            if tries == 1:  # Otherwise an earlier try has removed it, and the answer was lost.
                raise

    with missing_files(path):
        retrying()(delete)()


def remove_folder(folder: str | os.PathLike[str]) -> None:
    """Removes everything below a folder, a hundred files per request.

    Raises:
        google.api_core.exceptions.GoogleAPIError: The service does not let a file be removed.
    """
    place = Place.of(folder)
    names: list[str] = []
    for pause_s in _PAUSES_S:
        found = client().list_blobs(place.bucket, prefix=place.prefix, fields=NAMES)
        names = [blob.name.removeprefix(place.prefix) for blob in found]
        if not names:
            return
        time.sleep(pause_s)  # What a request could not remove is still there.
        remove_files(folder, names)
    for name in names:  # A request for a hundred files tells no reasons, one for a file does.
        with contextlib.suppress(FileNotFoundError):
            remove(f"{os.fspath(folder)}/{name}")


def remove_files(folder: str | os.PathLike[str], names: Sequence[str]) -> None:
    """Removes files of a folder, a hundred per request, as far as they are there and can be removed."""
    place = Place.of(folder)
    batches = [names[i : i + BATCH] for i in range(0, len(names), BATCH)]
    in_parallel(lambda batch: retrying()(_remove_batch)(place, batch), batches)


def _remove_batch(folder: Place, names: Sequence[str]) -> None:
    with client().batch(raise_exception=False):
        for name in names:
            client().bucket(folder.bucket).blob(folder.prefix + name).delete(retry=None)
