"""What the valid split says of a model during training: a probe, the contrastive loss, and whether it has collapsed."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from beam_jobs import examples
from beam_jobs.audio import pcm
from components import metrics
from components.trainer import input_pipeline, step
from models.dual import DualEncoder

FEWEST_CLIPS = 200
"""Of fewer labelled clips a probe is too noisy to choose a model by."""
_RIDGES = tuple(10.0**power for power in range(-3, 5))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """What one look at the valid split found.

    Attributes:
        score: To choose the best model by, higher for better: the probe's, or the negative loss if there is no probe.
        figures: Everything, by name, for the logs.
        similarities: Cosines of the first crops of branch A with those of branch B, `(n, n)`.
    """

    score: float
    figures: dict[str, float]
    similarities: np.ndarray


class Evaluation:
    """Looks at the valid split, always at the same crops of the same clips.

    Args:
        model: To look at, as it is at that moment.
        info: The examples.
        batch: Of `input_pipeline.validation_batch`.
        temperature: tau of the loss.
        probe_clips: Most clips of the probe; 0 for none.
        chunk: Clips to embed at a time.

    Attributes:
        clips: How many clips the effective ranks are of.
    """

    def __init__(
        self,
        model: DualEncoder,
        *,
        info: examples.ExamplesInfo,
        batch: input_pipeline.Batch,
        temperature: float,
        probe_clips: int,
        chunk: int,
    ):
        self._validate = step.make_validation(model, temperature=temperature)
        self._views = [batch[name].numpy() for name in "ab"]
        self._encode = [
            _in_chunks(lambda x, branch=branch: {"": model.encode(branch, x, training=False)}, model, chunk=chunk)
            for branch in range(2)
        ]
        self._embed = _in_chunks(model.embed, model, chunk=chunk)
        self._crops, self._targets = _probe_set(info, crop_samples=model.crop_samples, limit=probe_clips)
        self.clips = len(self._crops) or len(self._views[0])

    def look(self) -> Look:
        """Takes one."""
        logs, similarities = self._validate(
            *(encode(view)[""] for encode, view in zip(self._encode, self._views, strict=True))
        )
        figures = {name: float(value) for name, value in logs.items()}
        features = self._embed(self._crops if len(self._crops) else self._views[0])
        for name, values in features.items():
            figures[f"effective_rank_{name}"] = effective_rank(values)
        score = -figures["loss"]
        if len(self._crops):
            name, probe = ridge_probe(np.concatenate(list(features.values()), axis=1), self._targets)
            figures[f"probe_{name}"] = probe
            score = probe if len(self._crops) >= FEWEST_CLIPS else score
        return Look(score=score, figures=figures, similarities=similarities.numpy())


def ridge_probe(features: np.ndarray, targets: np.ndarray) -> tuple[str, float]:
    """Leave-one-out score of a ridge regression from frozen features to labels, in closed form.

    Every clip is predicted by the regression on all others, which the hat matrix gives without fitting it again; the
    strength of the ridge is that with the least squared error.

    Args:
        features: `(clips, dim)`.
        targets: bool `(clips, classes)`, at least one label each.

    Returns:
        "accuracy" if each clip has one label, else "mAP"; and the score.
    """
    scale = features.std(axis=0)
    x = (features - features.mean(axis=0))[:, scale > 1e-8].astype(np.float64) / scale[scale > 1e-8]
    y = targets - targets.mean(axis=0)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    along = u.T @ y
    best, least = np.zeros_like(y), np.inf
    for ridge in _RIDGES:
        share = s**2 / (s**2 + ridge * len(x))
        leverage = (u**2) @ share + 1.0 / len(x)  # the mean counts as a feature
        left_out = y - (y - u @ (share[:, None] * along)) / np.maximum(1.0 - leverage, 1e-9)[:, None]
        error = float(np.mean((y - left_out) ** 2))
        if error < least:
            best, least = left_out, error
    best = best + targets.mean(axis=0)
    if (targets.sum(axis=1) == 1).all():
        return "accuracy", float(np.mean(best.argmax(axis=1) == targets.argmax(axis=1)))
    return "mAP", metrics.multi_label(targets, best)["mAP"]


def effective_rank(features: np.ndarray) -> float:
    """How many dimensions `(clips, dim)` features fill: exp of the entropy of their variances (Roy & Vetterli 2007).

    1 if all lie on one line, `dim` if they spread alike in all directions, and 1 if there is no variance at all.
    """
    variances = np.linalg.svd(features - features.mean(axis=0), compute_uv=False).astype(np.float64) ** 2
    if variances.sum() <= 1e-12 * max(1.0, float(np.square(features).sum())):
        return 1.0
    shares = variances[variances > 0] / variances.sum()
    return float(np.exp(-np.sum(shares * np.log(shares))))


def _in_chunks(
    function: Callable[[tf.Tensor], dict[str, tf.Tensor]], model: DualEncoder, *, chunk: int
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """`function` of float crops as one of any number of int16 crops, which takes `chunk` of them at a time."""

    @tf.function(input_signature=[tf.TensorSpec((chunk, model.crop_samples), tf.int16)])
    def compiled(crops: tf.Tensor) -> dict[str, tf.Tensor]:
        return function(pcm.to_float(crops))

    def run(crops: np.ndarray) -> dict[str, np.ndarray]:
        parts = []
        for start in range(0, len(crops), chunk):
            part = crops[start : start + chunk]
            padded = np.pad(part, ((0, chunk - len(part)), (0, 0)))  # one shape, one compilation
            found = {name: tf.cast(value, tf.float32).numpy() for name, value in compiled(padded).items()}
            parts.append({name: value[: len(part)] for name, value in found.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return run


def _probe_set(info: examples.ExamplesInfo, *, crop_samples: int, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """The middle crop and the labels of the first labelled clips; none if they would not make a probe."""
    crops, rows = [], []
    clips = examples.dataset(info.directory, "valid") if limit and len(info.label_names) > 1 else None
    for clip in clips.as_numpy_iterator() if clips else ():
        if len(crops) == limit:
            break
        if len(clip["labels"]):
            audio = np.resize(clip["audio"], max(crop_samples, clip["audio"].size))  # repeats a short clip
            start = (audio.size - crop_samples) // 2
            crops.append(audio[start : start + crop_samples])
            rows.append(np.isin(np.arange(len(info.label_names)), clip["labels"]))
    targets = np.array(rows, bool).reshape(len(rows), len(info.label_names))
    usable = len(rows) > 2 and np.count_nonzero(targets.any(axis=0)) > 1
    return (np.array(crops), targets) if usable else (np.zeros((0, crop_samples), np.int16), targets[:0])
