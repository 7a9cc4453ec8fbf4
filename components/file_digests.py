"""Digests of files that a stage reads from outside the pipeline."""

from collections.abc import Iterable

from etils import epath

from beam_jobs import storage


def content_digest(folder: epath.Path, *, names: Iterable[str]) -> str:
    """Returns a digest of the names and contents of files in a folder.

    Sizes and times would be cheaper, but models of one architecture have equal sizes, and copies that are made together
    have equal times.

    Raises:
        FileNotFoundError: There is no such file.
    """
    return storage.text_digest("".join(f"{name}\0{storage.quick_digest(folder / name)}\n" for name in names))
