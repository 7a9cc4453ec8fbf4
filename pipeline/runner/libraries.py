"""Versions of the libraries that decide what a component writes."""

import contextlib
import importlib.metadata
from collections.abc import Callable, Iterable, Mapping

MISSING = "not installed"

_FFMPEG = ("libavcodec", "libavformat", "libswresample")
"""The libraries of FFmpeg that decoding uses."""


def versions(names: Iterable[str]) -> dict[str, str]:
    """Returns the versions of distributions, and of the C libraries that some of them wrap.

    No library is imported, except for two that take a tenth of a second.

    Args:
        names: Names of distributions, e.g. "soundfile".

    Returns:
        Name -> version, e.g. {"soundfile": "0.14.0", "libsndfile": "1.2.2"}.
    """
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = MISSING
            continue
        if name in _WRAPPED:
            with contextlib.suppress(ImportError, OSError):  # The stage itself says so when it runs.
                found |= _WRAPPED[name]()
    return found


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
