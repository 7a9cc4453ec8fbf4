"""Files on Cloud Storage, through Google's client (extra `gcp`).

Where TensorFlow's client takes two to five requests to read, write or find a file, Google's takes one, tells sizes and
checksums with a listing, and removes a hundred files at a time. What fails for a moment is tried again with growing
pauses. TensorFlow's own operations (TFRecords, checkpoints, SavedModels, summaries) keep TensorFlow's client.

A file is whole or not there. There are no folders: a folder is there as soon as a file is in it.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from beam_jobs import google_upload
from beam_jobs.google_client import SCHEME, client, retrying
from beam_jobs.google_client import in_parallel as in_parallel
from beam_jobs.google_client import is_used_for as is_used_for

if TYPE_CHECKING:
    from google.cloud import storage as gcs


class Place(NamedTuple):
    """A place on Cloud Storage: a bucket, and the name of an object in it; empty for the bucket itself."""

    bucket: str
    name: str

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Place:
        """Returns the place of a path such as gs://bucket/folder/name."""
        bucket, _, name = os.fspath(path).removeprefix(SCHEME).partition("/")
        return cls(bucket, name.rstrip("/"))

    @property
    def prefix(self) -> str:
        """What the names of all objects in this folder begin with."""
        return f"{self.name}/" if self.name else ""

    def blob(self) -> gcs.Blob:
        """Returns the object, about which the service has not been asked."""
        return client().bucket(self.bucket).blob(self.name)


class Listed(NamedTuple):
    """What a listing tells of a file.

    Attributes:
        bytes: Its size.
        crc32c: Checksum of its content, as Cloud Storage writes it.
        generation: A number that is larger for each later file of the same name.
        note: See `upload`.
    """

    bytes: int
    crc32c: str
    generation: int
    note: str


def list_files(folder: str | os.PathLike[str], *, start: str = "") -> dict[str, Listed]:
    """Returns the files below a folder by relative name, sorted. It takes one request per thousand files.

    Args:
        folder: The folder.
        start: What the relative names begin with.

    Raises:
        google.api_core.exceptions.NotFound: There is no such bucket.
    """
    place = Place.of(folder)
    fields = "items(name,size,crc32c,generation,metadata),nextPageToken"
    found = {}
    for blob in client().list_blobs(place.bucket, prefix=place.prefix + start, fields=fields):
        if not blob.name.endswith("/"):  # A mark that TensorFlow has written for an empty folder.
            note = (blob.metadata or {}).get(_NOTE, "")
            listed = Listed(bytes=blob.size, crc32c=blob.crc32c or "", generation=blob.generation, note=note)
            found[blob.name.removeprefix(place.prefix)] = listed
    return dict(sorted(found.items()))


def list_entries(folder: str | os.PathLike[str]) -> tuple[list[str], list[str]]:
    """Returns the names of the files and of the folders that are directly in a folder."""
    place = Place.of(folder)
    fields = "items(name),prefixes,nextPageToken"
    listing = client().list_blobs(place.bucket, prefix=place.prefix, delimiter="/", fields=fields)
    files = [blob.name.removeprefix(place.prefix) for blob in listing if not blob.name.endswith("/")]
    return files, sorted(name.removeprefix(place.prefix).rstrip("/") for name in listing.prefixes)


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Returns whether there is any file in a folder."""
    # Imported here because it comes with an extra.
    from google.api_core import exceptions

    place = Place.of(path)
    try:
        return any(True for _ in client().list_blobs(place.bucket, prefix=place.prefix, max_results=1, fields=NAMES))
    except exceptions.NotFound:  # There is no such bucket.
        return False


def stat(path: str | os.PathLike[str]) -> gcs.Blob | None:
    """Returns what the service knows of a file, or None if there is no such file."""
    place = Place.of(path)
    return client().bucket(place.bucket).get_blob(place.name) if place.name else None


def read(path: str | os.PathLike[str], *, start: int = 0, end: int | None = None) -> bytes:
    """Reads a file, or its bytes from `start` until before `end`.

    Raises:
        FileNotFoundError: There is no such file.
    """
    with missing_files(path):
        last = None if end is None else end - 1
        return Place.of(path).blob().download_as_bytes(start=start or None, end=last, retry=retrying())


def read_start(path: str | os.PathLike[str], size: int) -> tuple[bytes, int | None]:
    """Reads the first bytes of a file, at most `size`. The second value is its generation, if the service tells it.

    Raises:
        FileNotFoundError: There is no such file.
    """
    # Imported here because it comes with an extra.
    from google.api_core import exceptions

    blob = Place.of(path).blob()
    try:
        with missing_files(path):
            return blob.download_as_bytes(end=size - 1, retry=retrying()), blob.generation
    except exceptions.RequestRangeNotSatisfiable:  # It is empty.
        return b"", None


def read_same(blob: gcs.Blob, *, start: int, end: int) -> bytes:
    """Reads the bytes from `start` until before `end` of a file, as it was when `stat` returned it.

    Raises:
        FileNotFoundError: It is gone.
        OSError: There is another file in its place.
    """
    # Imported here because it comes with an extra.
    from google.api_core import exceptions

    path = f"{SCHEME}{blob.bucket.name}/{blob.name}"
    generation = blob.generation
    try:
        with missing_files(path):
            return blob.download_as_bytes(start=start, end=end - 1, if_generation_match=generation, retry=retrying())
    except exceptions.PreconditionFailed as error:
        raise OSError(errno.ESTALE, "The file was replaced while it was read", path) from error


_NOTE = "diptych"
"""Key of the note in the metadata of an object."""

MAX_NOTE_BYTES = 7000
"""An object takes 8 KiB of metadata."""

NAMES = "items(name),nextPageToken"
"""What a listing tells when only names are needed."""


def upload(path: str | os.PathLike[str], content: bytes, *, note: str = "", replaces: int | None = None) -> None:
    """Writes a small file in one request.

    Args:
        path: The file.
        content: Its content.
        note: ASCII text of at most `MAX_NOTE_BYTES`, which a listing tells along with the name of the file.
        replaces: The generation that the file must have; 0 if there must not be one; None: whatever is there.

    Raises:
        google.api_core.exceptions.PreconditionFailed: The file has another generation.
    """
    blob = Place.of(path).blob()
    blob.metadata = {_NOTE: note} if note else None
    # Writing the same file twice gives what writing it once gives, so a request without an answer is sent again.
    blob.upload_from_string(content, if_generation_match=replaces, retry=retrying())


def upload_file(path: str | os.PathLike[str], source: str, *, note: str = "") -> None:
    """Writes a file of this machine: in one request if it is small, else in two.

    Args:
        path: The file.
        source: Name of the file of this machine.
        note: See `upload`.
    """
    blob = Place.of(path).blob()
    blob.metadata = {_NOTE: note} if note else None
    if os.path.getsize(source) > _ONE_REQUEST:
        google_upload.send(blob, source)
    else:
        blob.upload_from_filename(source, content_type="application/octet-stream", retry=retrying())


_ONE_REQUEST = 8 * 2**20
"""A file of up to this size is sent in one request. Google's client holds it in memory, and `THREADS` at a time."""


def set_note(path: str | os.PathLike[str], note: str) -> None:
    """Changes the note of a file.

    Raises:
        FileNotFoundError: There is no such file.
    """
    blob = Place.of(path).blob()
    blob.metadata = {_NOTE: note}
    with missing_files(path):
        blob.patch(retry=retrying())


def copy(source: str | os.PathLike[str], target: str | os.PathLike[str], *, replaces: int | None = None) -> int:
    """Copies a file within Cloud Storage, without a download, and returns its size.

    Args:
        source: The file.
        target: The copy.
        replaces: See `upload`.

    Raises:
        FileNotFoundError: There is no such file.
        google.api_core.exceptions.PreconditionFailed: See `upload`.
    """
    blob, original = Place.of(target).blob(), Place.of(source).blob()
    with missing_files(source):
        token, _, size = blob.rewrite(original, if_generation_match=replaces, retry=retrying())
        while token:  # Between regions or storage classes, a request copies a part.
            token, _, size = blob.rewrite(original, token=token, if_generation_match=replaces, retry=retrying())
    return size


class missing_files:
    """Raises `FileNotFoundError` in place of Google's error."""

    def __init__(self, path: str | os.PathLike[str]):
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if getattr(error, "code", None) == 404:
            raise FileNotFoundError(2, "No such file", os.fspath(self._path)) from error
