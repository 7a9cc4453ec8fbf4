"""Tables 3 and 4: what one training is worth by the encoder that is evaluated, beside other methods."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pipeline.experiments import formats
from pipeline.experiments.experiment import BOTH, Layout, Place

if TYPE_CHECKING:
    from pipeline.configs.config import PipelineConfig

Row = tuple[str, str, float]
"""Method, what it was trained on and evaluated on, and its score in the paper."""

Numbers = tuple[float, float, float, float, float]
"""The paper's scores of the rows of `_OURS`."""

# Formats of the training, and the set of features that is evaluated.
_OURS = (
    (("log_mel",), "log_mel"),
    (("waveform",), "waveform"),
    (("waveform", "log_mel"), "log_mel"),
    (("waveform", "log_mel"), "waveform"),
    (("waveform", "log_mel"), BOTH),
)


def layout(
    before: Sequence[Row], ours: Numbers, after: Sequence[Row], *, column: str
) -> "Callable[[PipelineConfig], Layout]":
    """Returns the layout of a table.

    Args:
        before: Rows of other methods above ours.
        ours: The paper's scores of ours.
        after: Rows of other methods below ours.
        column: Heading of the column of scores.
    """

    def of_config(config: "PipelineConfig") -> Layout:
        cells = {names: formats.cell(config, *names) for names, _ in _OURS}
        places = [_place_of_other(row, column=column) for row in before]
        for (names, features), paper in zip(_OURS, ours, strict=True):
            evaluated = "+".join(names) if features == BOTH else features
            row = f"Ours: {'+'.join(names)} → {evaluated}"
            places.append(Place(row=row, column=column, cell=cells[names].name, features=features, paper=paper))
        places += [_place_of_other(row, column=column) for row in after]
        return Layout(cells=list(cells.values()), places=places)

    return of_config


def _place_of_other(row: Row, *, column: str) -> Place:
    method, inputs, score = row
    return Place(row=f"{method}: {inputs}", column=column, paper=score)
