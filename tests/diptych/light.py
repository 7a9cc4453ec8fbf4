"""`python -m tests.diptych.light CODE`: runs code that cannot import what comes with the extra `pipeline` alone.

It can import what belongs to the requirements in setup.cfg and to what they require.
"""

import configparser
import importlib
import importlib.metadata
import pathlib
import re
import sys

from packaging.requirements import Requirement

ROOT = pathlib.Path(__file__).parents[2]


def requirements() -> list[str]:
    """Returns what `pip install diptych` installs first, as setup.cfg states it."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return [line for line in config["options"]["install_requires"].splitlines() if line and line[0] != "#"]


def _normalized(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def _with_dependencies():
    """Returns the names of all distributions that `requirements` leads to."""
    found, waiting = set(), requirements()
    while waiting:
        requirement = Requirement(waiting.pop())
        name = _normalized(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        waiting += importlib.metadata.requires(name) or []
    return found


def _absent():
    """Returns the names of the modules that belong to other distributions."""
    allowed = _with_dependencies() | {"diptych"}
    wanted, others = set(), set()
    for distribution in importlib.metadata.distributions():
        modules = wanted if _normalized(distribution.name) in allowed else others
        modules.update(_modules(distribution))
    return others - wanted


def _modules(distribution):
    """Returns the names of the top-level modules that a distribution has installed.

    `importlib.metadata.packages_distributions` of Python 3.10 knows only those of old distributions.
    """
    if names := distribution.read_text("top_level.txt"):
        return set(names.split())
    files = [file for file in distribution.files or () if file.suffix in (".py", ".so")]
    return {file.parts[0] if len(file.parts) > 1 else file.name.partition(".")[0] for file in files}


class _Finder:
    """Finds what another finder finds, except modules that are to be absent."""

    def __init__(self, finder, absent):
        self._finder = finder
        self._absent = absent

    def find_spec(self, name, path=None, target=None):
        is_absent = name.partition(".")[0] in self._absent
        return None if is_absent else self._finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self._finder, name)


if __name__ == "__main__":
    absent = _absent()
    assert {"pydantic", "etils", "apache_beam", "sklearn"} <= absent
    # TensorFlow imports it. From Python 3.12 on it is setuptools', which brings packages that others bring, too.
    importlib.import_module("distutils")
    sys.meta_path[:] = [_Finder(finder, absent) for finder in sys.meta_path]
    exec(sys.argv[1], {"__name__": "__main__"})
