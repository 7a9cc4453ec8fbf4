"""Renders what training the SavedModel's weights along gains, as the Markdown that its page shows."""

import numpy as np

from tests.benchmarks import tables


def render(result: dict) -> str:
    """Renders the accuracies by fold."""
    rows, recipe = result["folds"], result["recipe"]
    header = ["accuracy on fold", *(str(row["fold"]) for row in rows), "mean"]
    lines = [
        [words, *(f"{100 * row[name]:.1f} %" for row in rows), f"{100 * np.mean([row[name] for row in rows]):.1f} %"]
        for name, words in (("frozen", "frozen"), ("fine_tuned", "trained along"))
    ]
    low, high = result["difference"]["interval_95"]
    note = (
        f"{result['clips']:,} clips of ESC-50, with {result['trained']}. *Frozen*: a linear probe, trained on the "
        f"windows of the other folds until it converges, with the best of the Evaluator's regularizations "
        f"(C = {result['C']:g}). *Trained along*: {recipe['passes']} passes from there, a window of each clip, Adam, "
        f"batches of {recipe['batch_size']}, learning rate {recipe['learning_rate']:g}, which falls to 0 along half a "
        f"cosine. The difference is {100 * result['difference']['mean']:.1f} points (95 % interval over the folds "
        f"{100 * low:.1f} to {100 * high:.1f}). All of it took {result['core_minutes']:g} minutes of processor time on "
        f"{tables.where(result)}"
    )
    return tables.table(header, lines) + "\n" + tables.paragraph(note)
