"""Says which file hides one of Diptych's other packages, whose names are common ones."""

import importlib.util
import pathlib

_PACKAGES = ("beam_jobs", "components", "models")
_FOLDER = pathlib.Path(__file__).resolve().parents[1]


def explained(error: ImportError) -> ImportError:
    """Returns what to tell about an import that failed: which file was imported in place of Diptych's, if one was."""
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None or pathlib.Path(spec.origin).resolve() != _FOLDER / name / "__init__.py":
            place = spec.origin if spec and spec.origin else f"the folder {name}"
            return ImportError(
                f"`import diptych` needs Diptych's own package `{name}`, and Python finds {place} first: rename that, "
                "or start Python in another folder."
            )
    return error
