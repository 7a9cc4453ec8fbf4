"""A linear probe in closed form, by which validation chooses the best model."""

import dataclasses

import numpy as np

from beam_jobs import examples
from components import metrics

_RIDGES = tuple(10.0**power for power in range(-3, 5))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeClips:
    """The labeled clips of a probe.

    Attributes:
        crops: int16 `(clips, crop_samples)`, the middle of each clip.
        targets: bool `(clips, classes)`, at least one label per clip.
    """

    crops: np.ndarray
    targets: np.ndarray


def read_clips(info: examples.ExamplesInfo, *, crop_samples: int, max_clips: int) -> ProbeClips | None:
    """Reads the first labeled clips of the valid split.

    Args:
        info: The examples.
        crop_samples: Length of a crop. A shorter clip is repeated.
        max_clips: Maximum number of clips.

    Returns:
        The clips, or None if a probe needs more: three clips, and two classes among them.
    """
    classes = len(info.label_names)
    if max_clips == 0 or classes < 2:
        return None
    crops, targets = [], []
    for clip in examples.dataset(info.directory, "valid").as_numpy_iterator():
        if len(crops) == max_clips:
            break
        if len(clip["labels"]):
            crops.append(_middle(clip["audio"], crop_samples))
            targets.append(np.isin(np.arange(classes), clip["labels"]))
    if len(crops) < 3 or np.count_nonzero(np.any(targets, axis=0)) < 2:
        return None
    return ProbeClips(crops=np.array(crops), targets=np.array(targets))


def score(features: np.ndarray, targets: np.ndarray) -> tuple[str, float]:
    """Returns the leave-one-out score of a ridge regression from frozen features to labels.

    Each clip is predicted by the regression on all other clips. The hat matrix gives these predictions in closed form.
    The strength of the ridge is the one with the least squared error.

    Args:
        features: `(clips, dim)`.
        targets: bool `(clips, classes)`, at least one label per clip.

    Returns:
        The name of the score ("accuracy" if each clip has one label, otherwise "mAP") and its value.
    """
    deviation = features.std(axis=0)
    is_varied = deviation > 1e-8
    x = (features - features.mean(axis=0))[:, is_varied].astype(np.float64) / deviation[is_varied]
    y = targets - targets.mean(axis=0)
    u, s, _ = np.linalg.svd(x, full_matrices=False)  # (clips, rank), (rank,)
    projected = u.T @ y  # (rank, classes)
    best, least_error = np.zeros_like(y), np.inf
    for ridge in _RIDGES:
        shrinkage = s**2 / (s**2 + ridge * len(x))
        residuals = y - u @ (shrinkage[:, None] * projected)
        leverage = (u**2) @ shrinkage + 1.0 / len(x)  # 1 / clips is the leverage of the mean.
        predictions = y - residuals / np.maximum(1.0 - leverage, 1e-9)[:, None]
        error = float(np.mean((y - predictions) ** 2))
        if error < least_error:
            best, least_error = predictions, error
    best = best + targets.mean(axis=0)
    if (targets.sum(axis=1) == 1).all():
        return "accuracy", float(np.mean(best.argmax(axis=1) == targets.argmax(axis=1)))
    return "mAP", metrics.multi_label(targets, best)["mAP"]


def _middle(audio: np.ndarray, crop_samples: int) -> np.ndarray:
    """Returns the middle `crop_samples` of a clip, which is repeated if it is shorter."""
    audio = np.resize(audio, max(crop_samples, audio.size))
    start = (audio.size - crop_samples) // 2
    return audio[start : start + crop_samples]
