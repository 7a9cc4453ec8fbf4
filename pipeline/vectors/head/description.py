"""Describes a saved head, in its file `head.json`."""

import dataclasses
import fnmatch
import itertools
import json
import os
import pathlib
from collections.abc import Iterator, Mapping

from etils import epath

from beam_jobs import storage
from components.errors import UserError

FILE = "head.json"

_LISTS = ("classes", "embeddings")
_NUMBERS = ("dim", "sample_rate", "window_samples", "hop_samples")
_ACTIVATIONS = ("softmax", "sigmoid")

_PARTS = (
    FILE,
    "saved_model.pb",
    "fingerprint.pb",
    "assets",
    "assets/classes.json",
    "variables",
    "variables/variables.index",
    "variables/variables.data-*",
)
"""What a head consists of, as patterns of paths relative to its folder."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeadDescription:
    """What the caller of a head needs to know. `model` and `score` are for people.

    Attributes:
        classes: Names of the classes, in the order of the scores.
        activation: softmax, if a file has one class: the scores are probabilities that add up to 1. sigmoid, if it may
            have several: each score is a probability of its own.
        dim: Size of the embedding that is classified.
        embeddings: Names of the model's outputs that this embedding concatenates.
        sample_rate: Sample rate of the audio, in Hz.
        window_samples: Length of a window.
        hop_samples: Distance between the starts of two windows.
        model: The SavedModel that the head is on top of.
        score: The cross-validated score, see `training.CrossValidation`.
    """

    classes: tuple[str, ...]
    activation: str
    dim: int
    embeddings: tuple[str, ...]
    sample_rate: int
    window_samples: int
    hop_samples: int
    model: str
    score: Mapping[str, object]

    def write(self, folder: epath.PathLike) -> None:
        """Writes the file into the folder of a head."""
        storage.write_text(epath.Path(folder) / FILE, json.dumps(dataclasses.asdict(self), indent=1))


def _check(fields: dict[str, object]) -> None:
    """Raises KeyError, TypeError or ValueError if a field is missing or is none such as `HeadDescription` has."""
    for name in _LISTS:
        values = fields[name]
        if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
            raise ValueError(f"{name} is not a list of names")
    for name in _NUMBERS:
        value = fields[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is {value!r}, not a whole number above 0")
    if fields["activation"] not in _ACTIVATIONS:
        raise ValueError(f"activation is {fields['activation']!r}, not {' or '.join(_ACTIVATIONS)}")


def parts(folder: str) -> Iterator[pathlib.Path]:
    """Yields the files and folders that a head consists of."""
    return itertools.chain.from_iterable(pathlib.Path(folder).glob(part) for part in _PARTS)


def is_part(name: str) -> bool:
    """Returns whether a path, relative to the folder of a head, is that of a part of the head."""
    return any(fnmatch.fnmatchcase(name, part) for part in _PARTS)


def read(folder: str) -> HeadDescription:
    """Reads the description of a head.

    Raises:
        UserError: The folder is not that of a head, or the file is damaged.
    """
    file = epath.Path(folder) / FILE
    try:
        fields = json.loads(file.read_bytes())
        _check(fields)
        lists = {name: tuple(fields[name]) for name in _LISTS}
        return HeadDescription(**{**fields, **lists})
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise UserError(
            f"--head {folder} is not a head: give the folder that `diptych classify --output` wrote."
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{os.fspath(file)} is damaged ({type(error).__name__}: {error}): train the head again."
        ) from error
