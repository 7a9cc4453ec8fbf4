"""Makes embedded clips of known classes."""

import numpy as np

from components.evaluator.clips import Clips


def scattered_clips(*, clips=200, classes=4, dim=8, folds=5, separation=2.0, subclips=(2, 3), splits=None, seed=0):
    """Scatters the sub-clips of each clip around the center of its class.

    Args:
        clips: Number of clips.
        classes: Number of classes, which are drawn at random.
        dim: Size of the features.
        folds: Number of folds, or 0 for none.
        separation: Distance of the class centers, in standard deviations of a clip or a sub-clip.
        subclips: Least and greatest number of sub-clips of a clip.
        splits: Split of each clip; None puts all in "train".
        seed: Seed of everything random.

    Returns:
        `Clips` with the features "x", which separate the classes, and "noise", which do not.
    """
    rng = np.random.default_rng(seed)
    labels, centers = rng.integers(classes, size=clips), rng.normal(size=(classes, dim))
    counts = rng.integers(subclips[0], subclips[1] + 1, size=clips)
    clip_of_subclip = np.repeat(np.arange(clips), counts)
    x = separation * centers[labels[clip_of_subclip]] + rng.normal(size=(clips, dim))[clip_of_subclip]
    x = x + rng.normal(size=x.shape)
    return Clips(
        features={"x": (100 * x + 5).astype(np.float32), "noise": rng.normal(size=x.shape).astype(np.float32)},
        subclip_counts=counts,
        clip_ids=[str(k) for k in range(clips)],
        labels=[(int(label),) for label in labels],
        folds=np.arange(clips) % folds + 1 if folds else np.zeros(clips, int),
        splits=np.array(splits or ["train"] * clips),
    )
