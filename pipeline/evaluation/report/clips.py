"""Chooses test clips that are worth hearing, and reads their sound."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import tensorflow as tf
from etils import epath
from scipy import special

from beam_jobs import examples
from beam_jobs.audio import pcm
from components.evaluator.predictions import Predictions
from pipeline.evaluation.report.content import ClipRow
from pipeline.evaluation.robustness import codecs

MOST_CLIPS = 16
_MOST_OF_A_CLASS = 2
_MOST_SECONDS = 10.0
_KBPS = 32
_SHOWN_CLASSES = 3


def hardest(predictions: Predictions, *, is_single: bool, most: int = MOST_CLIPS) -> np.ndarray:
    """Returns the clips to whose class the probe gives the lowest probability, the worst first.

    Args:
        predictions: The test clips.
        is_single: Whether a clip has exactly one class.
        most: How many at most. Of a class, no more than two are taken, so that a single one does not fill the list.

    Returns:
        int (clips,), their rows.
    """
    probabilities = probabilities_of(predictions.logits, is_single=is_single)
    of_truth = np.where(predictions.targets, probabilities, np.inf)
    worst_class = of_truth.argmin(axis=1)
    lowest = of_truth.min(axis=1)
    chosen: list[int] = []
    counts: dict[int, int] = {}
    for row in np.argsort(lowest, kind="stable"):
        label = int(worst_class[row])
        is_right = is_single and probabilities[row].argmax() == label
        if np.isfinite(lowest[row]) and not is_right and counts.get(label, 0) < _MOST_OF_A_CLASS:
            counts[label] = counts.get(label, 0) + 1
            chosen.append(int(row))
        if len(chosen) == most:
            break
    return np.array(chosen, int)


def probabilities_of(logits: np.ndarray, *, is_single: bool) -> np.ndarray:
    """Returns the probabilities of the classes, float (clips, classes)."""
    wide = logits.astype(np.float64)
    return special.softmax(wide, axis=1) if is_single else special.expit(wide)


def rows(
    predictions: Predictions, chosen: Sequence[int], *, directory: epath.Path, names: Sequence[str], is_single: bool
) -> list[ClipRow]:
    """Returns what the page shows of some clips.

    Args:
        predictions: The test clips.
        chosen: Rows of `predictions`.
        directory: The examples.
        names: Names of the classes.
        is_single: Whether a clip has exactly one class.
    """
    wanted: dict[str, set[str]] = {}
    for row in chosen:
        wanted.setdefault(predictions.splits[row], set()).add(predictions.clip_ids[row])
    sounds = {split: _sounds(directory, split, clip_ids) for split, clip_ids in wanted.items()}
    probabilities = probabilities_of(predictions.logits[chosen], is_single=is_single)
    shown = []
    for row, of_row in zip(chosen, probabilities, strict=True):
        best = np.argsort(-of_row, kind="stable")[:_SHOWN_CLASSES]
        sound = sounds[predictions.splits[row]].get(predictions.clip_ids[row])
        if sound is not None:
            shown.append(
                ClipRow(
                    clip_id=predictions.clip_ids[row],
                    truth=", ".join(names[label] for label in np.flatnonzero(predictions.targets[row])),
                    predicted=", ".join(f"{names[label]} {of_row[label]:.2f}" for label in best),
                    mp3=sound,
                )
            )
    return shown


def _sounds(directory: epath.Path, split: str, clip_ids: Collection[str]) -> Mapping[str, bytes]:
    """Returns the beginnings of some clips of a split as MP3, by clip id. It reads no further than the last one."""
    info = examples.read_info(directory)
    wanted = tf.constant(sorted(clip_ids))
    most = round(_MOST_SECONDS * info.sample_rate)
    found: dict[str, bytes] = {}
    dataset = tf.data.TFRecordDataset(info.files(split))
    for record in dataset.filter(lambda record: tf.reduce_any(_clip_id(record) == wanted)):
        clip = examples.parse(record, storage=info.storage)
        samples = pcm.to_float(clip["audio"].numpy()[:most])
        found[clip["clip_id"].numpy().decode()] = codecs.encode(
            samples, sample_rate=info.sample_rate, codec="mp3", kbps=_KBPS
        )
        if len(found) == len(clip_ids):
            break
    return found


def _clip_id(record: tf.Tensor) -> tf.Tensor:
    return tf.io.parse_single_example(record, {"clip_id": tf.io.FixedLenFeature((), tf.string)})["clip_id"]
