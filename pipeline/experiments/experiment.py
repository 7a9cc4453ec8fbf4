"""What an experiment consists of: cells to train, and the places of their scores in the paper's figure or table."""

import dataclasses
import difflib
import fnmatch
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from components.errors import UserError

if TYPE_CHECKING:
    from pipeline.configs.config import PipelineConfig

BOTH = "both"
"""The set of features of all encoders together; see `components.evaluator.features`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One setting that is compared with others. It is trained once for each seed.

    Attributes:
        name: Unique in the experiment, of letters, digits and "+-_.", so that it can name a folder.
        fields: Dotted name of a config field -> value.
        shares: Dotted name of a field that counts steps -> its share of the cell's steps, because a cell does not know
            how many steps its budget buys.
    """

    name: str
    fields: Mapping[str, object]
    shares: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """A place in the table.

    Attributes:
        block: Title of the part of the table; "" if it has one part.
        row: Heading of the row.
        column: Heading of the column.
        cell: Name of the cell whose score stands there; "" if only the paper has a number.
        features: The set of features that is scored.
        paper: The paper's number, in [0, 1]; None if it gives none.
    """

    block: str = ""
    row: str
    column: str
    cell: str = ""
    features: str = BOTH
    paper: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """The cells of an experiment and the places of their scores, each in order."""

    cells: Sequence[Cell]
    places: Sequence[Place]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """A figure or table of the paper, or another comparison.

    Attributes:
        name: Its name on the command line.
        title: What it compares, in a few words.
        layout: Returns cells and places for the config of a preset.
        paper: What the paper's numbers are, e.g. "validation mAP on AudioSet"; "" if it gives none.
        paper_metric: Their metric, "mAP" or "accuracy"; "" if it gives none.
        note: What a reader of the table should know.
        reference: Name of the cell that the others are compared with, seed by seed; "" for none.
    """

    name: str
    title: str
    layout: "Callable[[PipelineConfig], Layout]"
    paper: str = ""
    paper_metric: str = ""
    note: str = ""
    reference: str = ""

    @property
    def heading(self) -> str:
        """What it is called and compares, e.g. "Table 2: encoders"."""
        called = self.name.rstrip("0123456789")
        return f"{called.capitalize()} {self.name[len(called) :]}".strip() + f": {self.title}"


def select(cells: Sequence[Cell], only: Sequence[str], *, experiment: str) -> list[Cell]:
    """Returns the cells that `--only` names, in the order of the experiment; all if it names none.

    Args:
        cells: The cells of the experiment.
        only: Names, or patterns such as "crop-*".
        experiment: Its name, for messages.

    Raises:
        UserError: There is no such cell.
    """
    names = [cell.name for cell in cells]
    chosen: set[str] = set()
    for pattern in only:
        found = [name for name in names if name == pattern] or fnmatch.filter(names, pattern)
        if not found:
            close = difflib.get_close_matches(pattern, names, n=1)
            hint = f"did you mean {close[0]}? The" if close else "the"
            raise UserError(f"--only {pattern}: {experiment} has no such cell; {hint} cells are {', '.join(names)}.")
        chosen.update(found)
    return [cell for cell in cells if not only or cell.name in chosen]
