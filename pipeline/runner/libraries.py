"""Versions of the libraries that decide what a component writes."""

import contextlib
import importlib.metadata
from collections.abc import Callable, Iterable, Mapping

MISSING = "not installed"

_FFMPEG = ("libavcodec", "libavformat", "libswresample")
"""The libraries of FFmpeg that decoding uses."""

_REPLACEMENTS = {"tensorflow": "tensorflow-tpu"}
"""Distribution -> one that holds the same packages and is installed in its place, on a TPU VM."""


def versions(names: Iterable[str]) -> dict[str, str]:
    """Returns the versions of distributions, and of the C libraries that some of them wrap.

    No library is imported, except for two that take a tenth of a second.

    Args:
        names: Names of distributions, e.g. "soundfile".

    Returns:
        Name -> version, e.g. {"soundfile": "0.14.0", "libsndfile": "1.2.2"}. The name stays that of the distribution
        if another one is installed in its place.
    """
    found: dict[str, str] = {}
    for name in names:
        found[name] = _version(name)
        if name in _WRAPPED and found[name] != MISSING:
            with contextlib.suppress(ImportError, OSError):  # The stage itself says so when it runs.
                found |= _WRAPPED[name]()
    return found


def _version(name: str) -> str:
    """Returns the version of a distribution, or of the one that is installed in its place."""
    for installed in filter(None, (name, _REPLACEMENTS.get(name))):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(installed)
    return MISSING


def _libsndfile() -> dict[str, str]:
    # Imported here because it takes a while, and only for stages that read or write audio.
    import soundfile

    return {"libsndfile": soundfile.__libsndfile_version__}


def _ffmpeg() -> dict[str, str]:
    # Imported here because it takes a while, and only for stages that read audio.
    import av

    return {name: ".".join(map(str, av.library_versions[name])) for name in _FFMPEG}


# A distribution that was built on this machine wraps the library of the system, which has a version of its own.
_WRAPPED: Mapping[str, Callable[[], dict[str, str]]] = {"soundfile": _libsndfile, "av": _ffmpeg}
