"""`python -m tests.diptych.light CODE`: runs code that cannot import what comes with the extra `pipeline` alone.

It can import what belongs to the requirements in setup.cfg and to what they require.
"""

import configparser
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


class _Refusing:
    """Refuses to import modules of other distributions."""

    def __init__(self):
        ours, allowed = {"diptych"}, _with_dependencies()
        self.refused = {
            module
            for module, owners in importlib.metadata.packages_distributions().items()
            if not (allowed | ours) & set(map(_normalized, owners))
        }

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in self.refused:
            raise ModuleNotFoundError(f"No module named {top!r}", name=top)


if __name__ == "__main__":
    refusing = _Refusing()
    assert {"pydantic", "etils", "apache_beam", "sklearn"} <= refusing.refused
    sys.meta_path.insert(0, refusing)
    exec(sys.argv[1], {"__name__": "__main__"})
