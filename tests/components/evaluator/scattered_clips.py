"""Makes clips of known classes, with vectors in memory."""

import numpy as np

from components.evaluator.clips import Clips


def clips_of(labels, *, folds=None, splits=None, rows=None, ids=None):
    """Makes `Clips` of lists.

    Args:
        labels: Class indices of each clip.
        folds: Fold of each clip; None: 0.
        splits: Split of each clip; None: train.
        rows: Number of rows of each clip; None: 1.
        ids: Name of each clip; None: its index.
    """
    clips = len(labels)
    return Clips(
        clip_ids=np.array(list(ids) if ids is not None else [str(k) for k in range(clips)], object),
        splits=np.array(splits if splits is not None else ["train"] * clips, str),
        folds=np.array(folds if folds is not None else [0] * clips, int),
        label_values=np.array([label for of_clip in labels for label in of_clip], int),
        label_offsets=np.append(0, np.cumsum([len(of_clip) for of_clip in labels])).astype(int),
        rows=np.array(rows if rows is not None else [1] * clips, int),
    )


def scattered_clips(*, clips=200, classes=4, dim=8, folds=5, separation=2.0, subclips=(2, 3), seed=0):
    """Scatters the sub-clips of each clip around the center of its class.

    Args:
        clips: Number of clips.
        classes: Number of classes, which are drawn at random.
        dim: Size of the features.
        folds: Number of folds, or 0 for none.
        separation: Distance of the class centers, in standard deviations of a clip or a sub-clip.
        subclips: Least and greatest number of sub-clips of a clip.
        seed: Seed of everything random.

    Returns:
        Vectors float32 (sub-clips, dim), and their `Clips`.
    """
    rng = np.random.default_rng(seed)
    labels, centers = rng.integers(classes, size=clips), rng.normal(size=(classes, dim))
    rows = rng.integers(subclips[0], subclips[1] + 1, size=clips)
    clip_of_row = np.repeat(np.arange(clips), rows)
    x = separation * centers[labels[clip_of_row]] + rng.normal(size=(clips, dim))[clip_of_row]
    x = x + rng.normal(size=x.shape)
    numbers = np.arange(clips) % folds + 1 if folds else None
    return (100 * x + 5).astype(np.float32), clips_of([(int(label),) for label in labels], folds=numbers, rows=rows)
