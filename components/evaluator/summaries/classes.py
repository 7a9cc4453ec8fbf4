"""The scores of single classes, as bars and as a table with the numbers of their clips."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from components import markdown, tensorboard

MOST_BARS = 60
"""With more classes, only the best and the worst are drawn."""

MOST_ROWS = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassScores:
    """How well each class is told from the others. All sequences are in the order of the class indices.

    Attributes:
        metric: What the scores are, e.g. "average precision".
        names: Name of each class.
        scores: Score of each class; None for a class without clips to test.
        untrained: The same for the encoders before training; None in place of all of them if they were not probed.
        all_clips: Number of clips of each class.
        test_clips: Number of those that the probe was tested on.
    """

    metric: str
    names: Sequence[str]
    scores: Sequence[float | None]
    untrained: Sequence[float | None] | None
    all_clips: Sequence[int]
    test_clips: Sequence[int]

    @property
    def best_first(self) -> list[int]:
        """The classes that have a score, the best one first."""
        tested = [k for k, score in enumerate(self.scores) if score is not None]
        return sorted(tested, key=lambda k: (-self.scores[k], self.names[k]))


def bars(classes: ClassScores) -> np.ndarray:
    """Draws the score of each class as a bar, best first, and that of the untrained encoders as a dot.

    Returns:
        uint8 (1, height, width, 4). Of more than 60 classes, the 30 best and the 30 worst are drawn.
    """
    order = classes.best_first
    left_out = max(0, len(order) - MOST_BARS)
    if left_out:
        order = order[: MOST_BARS // 2] + order[-MOST_BARS // 2 :]
    fig = tensorboard.figure(width=8.0, height=1.2 + 0.22 * len(order))
    axes = fig.add_subplot()
    # Two classes may have one name, so the bars are placed by number.
    places = np.arange(len(order))
    axes.barh(places, [classes.scores[k] for k in order], color="tab:blue", label="trained")
    if classes.untrained is not None:
        dots = [np.nan if classes.untrained[k] is None else classes.untrained[k] for k in order]
        axes.plot(dots, places, "o", color="tab:grey", markersize=4, label="untrained")
    labels = [f"{_short(classes.names[k])}  ({classes.test_clips[k]:,})" for k in order]
    axes.set_yticks(places, labels, parse_math=False)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    middle = f"; {left_out:,} classes between are left out" if left_out else ""
    axes.set_title(f"{classes.metric} by class (number of test clips){middle}", fontsize=10)
    axes.set(xlim=(0, 1), xlabel=classes.metric)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.6 / fig.get_figheight()), ncols=2)
    return tensorboard.figure_image(fig)


def table(classes: ClassScores) -> str:
    """Returns a Markdown table of the classes, best first, and of those without test clips."""
    order = classes.best_first
    order += [k for k in range(len(classes.names)) if classes.scores[k] is None]
    rows = [
        (
            markdown.escaped(classes.names[k]),
            _shown(classes.scores[k]),
            "" if classes.untrained is None else _shown(classes.untrained[k]),
            f"{classes.all_clips[k]:,}",
            f"{classes.test_clips[k]:,}",
        )
        for k in order[:MOST_ROWS]
    ]
    header = ("class", classes.metric, "untrained", "clips", "tested")
    shown = markdown.table(header, rows)
    return f"The first {MOST_ROWS:,} of {len(order):,}\n\n{shown}" if len(order) > MOST_ROWS else shown


def _shown(score: float | None) -> str:
    return "" if score is None else f"{score:.3f}"


def _short(name: str, *, most: int = 40) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
