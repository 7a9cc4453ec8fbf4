"""Chooses the version of a push. Model servers such as TensorFlow Serving serve the highest number in their folder."""

import time

from etils import epath

from components import model_versions
from components.errors import UserError


def choose(folder: epath.Path, *, configured: int | None) -> tuple[int, str]:
    """Returns the version number of a push, and what the user is to know about it.

    A configured version is taken as it is, because servers can be told to serve another than the highest. Otherwise it
    is the time in seconds since 1970, or the number after the highest in the folder if that is not lower.

    Args:
        folder: The folder that a model server watches. It need not exist.
        configured: `pusher.version`.

    Returns:
        The version, and a phrase for the summary of the stage; empty if the version is the highest.

    Raises:
        UserError: The folder has the largest version there can be, and none is configured.
    """
    highest = _highest(folder)
    if configured is None:
        now = int(time.time())
        if highest < now:
            return now, ""
        if highest == model_versions.LARGEST:
            raise UserError(
                f"pusher.destination: {folder} holds the version {highest}, and no higher one fits into 64 bits: "
                "remove it, or set pusher.version."
            )
        return highest + 1, f"the number after {highest}, because the time, {now}, is not above it"
    if highest > configured:
        return configured, (
            f"version {highest} is there already and higher, so a server goes on serving that: remove it, or set "
            "pusher.version above it or to null"
        )
    return configured, ""


def _highest(folder: epath.Path) -> int:
    """Returns the highest version in a folder, or 0."""
    if not folder.exists():
        return 0
    return max((number for number, _ in model_versions.numbered(folder)), default=0)
