"""Chooses test clips that are worth hearing, and reads their sound."""

import functools
import itertools
from collections.abc import Collection, Sequence

import numpy as np
from etils import epath
from scipy import special

from beam_jobs import examples
from beam_jobs.audio import pcm
from beam_jobs.embedding import plan
from beam_jobs.embedding.embedder import TRAINED
from beam_jobs.embedding.read import Embeddings
from beam_jobs.examples import sampling
from components.evaluator import clips as stored_clips
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

    A clip that the probe gets right is not among them: it prefers the classes of the clip to all others.

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
    if is_single:
        is_right = probabilities.argmax(axis=1) == worst_class
    else:
        is_right = lowest > np.where(predictions.targets, -np.inf, probabilities).max(axis=1)
    chosen: list[int] = []
    counts: dict[int, int] = {}
    for row in np.argsort(lowest, kind="stable"):
        label = int(worst_class[row])
        if np.isfinite(lowest[row]) and not is_right[row] and counts.get(label, 0) < _MOST_OF_A_CLASS:
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
    predictions: Predictions,
    chosen: Sequence[int],
    *,
    directory: epath.Path,
    embeddings: Embeddings,
    names: Sequence[str],
    is_single: bool,
) -> list[ClipRow]:
    """Returns what the page shows of some clips.

    Args:
        predictions: The test clips.
        chosen: Rows of `predictions`.
        directory: The examples.
        embeddings: Their embeddings.
        names: Names of the classes.
        is_single: Whether a clip has exactly one class.
    """
    wanted: dict[str, set[str]] = {}
    for row in chosen:
        wanted.setdefault(predictions.splits[row], set()).add(predictions.clip_ids[row])
    sounds = {split: _sounds(directory, embeddings, split, clip_ids) for split, clip_ids in wanted.items()}
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


def _sounds(directory: epath.Path, embeddings: Embeddings, split: str, clip_ids: Collection[str]) -> dict[str, bytes]:
    """Returns the beginnings of some clips of a split as MP3, by clip id.

    The embeddings tell where the clips are, so that it reads no file without one of them.
    """
    info = examples.read_info(directory)
    most = round(_MOST_SECONDS * info.sample_rate)
    found: dict[str, bytes] = {}
    for clip in sampling.read_clips(
        info,
        split,
        numbers=_numbers(info, embeddings, split, clip_ids),
        parse=functools.partial(examples.parse, storage=info.storage),
    ).as_numpy_iterator():
        found[clip["clip_id"].decode()] = codecs.encode(
            pcm.to_float(clip["audio"][:most]), sample_rate=info.sample_rate, codec="mp3", kbps=_KBPS
        )
    return found


def _numbers(info: examples.ExamplesInfo, embeddings: Embeddings, split: str, clip_ids: Collection[str]) -> list[int]:
    """Returns the numbers in their split of clips that the model has embedded: all clips, or a sample of them."""
    embedded = embeddings.info.embedders[TRAINED].clips
    limit = max((clips for name, clips in embedded.items() if clips < info.splits[name]), default=None)
    numbers = [
        shard.numbers
        for shard in plan.plan_shards(info, {TRAINED: limit})
        if shard.split == split and shard.numbers is not None
    ]
    numbers = list(itertools.chain.from_iterable(numbers)) or range(info.splits[split])
    clips = stored_clips.read_clips(embeddings, TRAINED)
    in_order = clips.clip_ids[clips.splits == split].tolist()
    return [number for number, clip_id in zip(numbers, in_order, strict=True) if clip_id in clip_ids]
