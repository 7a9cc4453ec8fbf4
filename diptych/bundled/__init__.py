"""Models that come with Diptych: a folder for each, named like it, with `model.tflite` and what it is, `card.md`."""

import os
import pathlib

FILE = "model.tflite"

FOLDER = pathlib.Path(__file__).parent


def names() -> tuple[str, ...]:
    """Returns the names of the models."""
    return tuple(sorted(file.parent.name for file in FOLDER.glob(f"*/{FILE}")))


def resolve(model: str) -> str:
    """Returns the path of a model that is given by a path or by the name of a bundled one.

    What is at a path wins, so that a name never hides a user's own folder or file.
    """
    if model in names() and not os.path.lexists(model):
        return os.path.join(FOLDER, model, FILE)
    return model


def choices() -> str:
    """Returns what an error may end with, to name these models: "", or e.g. ", or a bundled model, tiny-v1"."""
    return f", or a bundled model, {' or '.join(names())}" if names() else ""
