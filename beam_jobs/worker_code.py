"""Compares what Beam workers run, their Python and their copy of our code, with what the launching machine runs.

The image of the workers may be that of another commit, whose results nobody could tell from those of this one.
"""

import dataclasses
import functools
import hashlib
import pathlib
import re
import sys
from collections.abc import Mapping

from beam_jobs import error_text

_ROOT = pathlib.Path(__file__).absolute().parents[1]
"""The folder that holds our packages: a clone, or that of an installed Diptych."""

OF_AUDIO = ("beam_jobs/**/*.py", "models/__init__.py", "models/filters.py", "models/subclip_starts.py")
"""What the workers of ingest and of statistics may import."""

OF_EMBEDDING = ("beam_jobs/**/*.py", "components/*.py", "components/embedder/**/*.py", "models/**/*.py")
"""What those of embedding may import. No stage imports another."""

_DIGITS = 16  # Of a digest. The digests of all files go with each step.

# What unpickling says of a step that a worker's copy of our code does not have.
_MISSING = re.compile(
    r"No module named '(?P<module>(?:beam_jobs|components)\b[\w.]*)'"
    r"|Can't get attribute '(?P<name>\w+)' on <module '(?P<of>(?:beam_jobs|components)\b[\w.]*)'"
)


class OtherCodeError(Exception):
    """The workers of a job run another Python or other code. The message says what differs, or is one sentence."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Code:
    """What a process runs. It is sent along with the steps of a job.

    Attributes:
        patterns: Patterns of the files that count.
        python: Version of Python.
        files: Path of each file below the folder of our packages -> digest, whatever its line ends are.
    """

    patterns: tuple[str, ...]
    python: tuple[int, int]
    files: Mapping[str, str]

    def differences(self, other: "Code") -> str:
        """Returns what differs, e.g. "Python 3.11 in place of 3.12", or "" if all is the same.

        Args:
            other: That of the launching machine.
        """
        found = []
        if self.python != other.python:
            found.append(f"Python {_version(self.python)} in place of {_version(other.python)}")
        names = sorted(
            name for name in self.files.keys() | other.files.keys() if self.files.get(name) != other.files.get(name)
        )
        if names:
            more = f" and {len(names) - 1} more" if names[1:] else ""
            found.append(f"another {names[0]}{more}")
        return ", ".join(found)


@functools.cache
def of_this_process(patterns: tuple[str, ...]) -> Code:
    """Returns what this process runs. The files are read once, so that a later change of them counts as one.

    Args:
        patterns: `OF_AUDIO` or `OF_EMBEDDING`.
    """
    return Code(patterns=patterns, python=tuple(sys.version_info[:2]), files=_digests(_ROOT, patterns))


def check(launching: Code) -> None:
    """Checks in a worker that it runs what the launching machine runs.

    Raises:
        OtherCodeError: It does not. The message says what differs.
    """
    differences = of_this_process(launching.patterns).differences(launching)
    if differences:
        raise OtherCodeError(differences)


def named(error: Exception, *, is_local: bool) -> OtherCodeError | None:
    """Returns the error in one sentence if a job failed because its workers run something else, otherwise None.

    Args:
        error: The error of the job. Beam passes on no more than the text of what a worker raised.
        is_local: Whether the workers are processes of this machine.
    """
    differences = error_text.message_of(error, OtherCodeError.__name__)
    missing = _MISSING.search(str(error))
    if not differences and missing:
        differences = f"no {missing['module'] or '.'.join(missing.group('of', 'name'))}"
    if not differences:
        return None
    if is_local:
        way_out = "files have changed since this command began, so run it again"
    else:
        way_out = (
            "build their image again from this commit and for this Python, e.g. with deploy/dataflow/build.sh and a "
            "new --tag, or launch the job from the commit and with the Python of the image"
        )
    return OtherCodeError(f"the Beam workers run other code than this machine ({differences}): {way_out}")


def _digests(root: pathlib.Path, patterns: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for pattern in patterns:
        for file in root.glob(pattern):
            path = file.relative_to(root)
            # Editors and notebooks keep copies beside a file, which no worker imports and no wheel holds.
            if all(part.isidentifier() for part in path.with_suffix("").parts):
                content = file.read_bytes().replace(b"\r\n", b"\n")
                found[path.as_posix()] = hashlib.sha256(content).hexdigest()[:_DIGITS]
    return found


def _version(python: tuple[int, int]) -> str:
    return ".".join(map(str, python))
