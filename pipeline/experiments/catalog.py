"""The experiments by name."""

import difflib
from collections.abc import Mapping

from components.errors import UserError
from pipeline.experiments import figure2, figure3, figure4, recipe, table1, table2, table3, table4
from pipeline.experiments.experiment import Experiment

EXPERIMENTS: Mapping[str, Experiment] = {
    module.EXPERIMENT.name: module.EXPERIMENT
    for module in (figure2, figure3, table1, table2, figure4, table3, table4, recipe)
}


def find(name: str) -> Experiment:
    """Returns the experiment of this name.

    Raises:
        UserError: There is none.
    """
    if name in EXPERIMENTS:
        return EXPERIMENTS[name]
    close = difflib.get_close_matches(name, EXPERIMENTS, n=1)
    hint = f"did you mean {close[0]}? The" if close else "the"
    raise UserError(f"{name}: there is no such experiment; {hint} experiments are {', '.join(EXPERIMENTS)}.")
