"""The few-shot probe: a linear classifier on 8 clips a class, as MAEB's (arXiv 2602.16008; `AbsTaskClassification`)."""

import numpy as np

from components.evaluator.probes import regression

SHOTS = 8
DRAWS = 10
_TOLERANCE, _MAX_ITERATIONS = 1e-3, 100  # MAEB's classifier takes 100 iterations at most, too.


def draw(targets: np.ndarray, *, seed: tuple[int, ...]) -> np.ndarray:
    """Draws 8 clips of each class, or all if there are fewer. A clip with several labels may be drawn for each.

    Args:
        targets: bool (clips, classes).
        seed: Fixes the draw.

    Returns:
        Indices of the clips, int (drawn clips,), each once.
    """
    order = np.random.default_rng(seed).permutation(len(targets))
    shuffled = targets[order]
    is_drawn = (shuffled & (np.cumsum(shuffled, axis=0) <= SHOTS)).any(axis=1)
    return np.sort(order[is_drawn])


def classify(train: np.ndarray, targets: np.ndarray, tested: np.ndarray, *, single_label: bool) -> np.ndarray:
    """Trains a logistic regression with C = 1 on mean vectors as they are, not standardized, and classifies clips.

    Args:
        train: float32 (drawn clips, dim).
        targets: bool (drawn clips, classes).
        tested: float32 (tested clips, dim).
        single_label: Whether each clip has exactly one label, so that the classes exclude one another.

    Returns:
        float32 (tested clips, classes); a class that was not drawn is least likely.
    """
    drawn = targets.any(axis=0)
    trained = regression.fit(
        train,
        targets[:, drawn],
        in_training=np.ones((1, len(train)), bool),
        strengths=[1.0],
        kind="softmax" if single_label else "sigmoid",
        standardize=False,
        tolerance=_TOLERANCE,
        max_iterations=_MAX_ITERATIONS,
    )
    logits = np.full((len(tested), targets.shape[1]), -1e9, np.float32)
    logits[:, drawn] = trained.logits(tested, problem=0)
    return logits
