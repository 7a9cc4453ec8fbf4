"""A classifier on the SavedModel, frozen and trained along: `python -m tests.benchmarks.fine_tuning --model M ...`.

For each fold of ESC-50, a linear probe learns on the embeddings of the windows of all other folds, until it converges.
Its regularization is the one that is best for the tested folds, so that the frozen model loses nothing by it. From
there, the probe and the model's weights are trained together as a user would: for a few passes over the same clips, a
random window of each at a time, through the SavedModel's `__call__` with `training=True`, so that batch normalization
goes by the batches. Choose passes and a learning rate with `--folds 1` alone, so that the other folds decide nothing.
"""

import argparse
import dataclasses
import pathlib
import time
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf
from scipy import stats

from beam_jobs.audio import pcm
from beam_jobs.embedding.embedder import BATCH_SIZE
from components.embedding_info import EmbeddingInfo
from components.evaluator import EvaluatorConfig
from components.evaluator.probes import regression
from tests.benchmarks import measuring
from tests.benchmarks.clips import read_esc50
from tests.benchmarks.record import RESULTS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clips:
    """Clips of equal length, each of one class.

    Attributes:
        audio: int16 (clips, samples).
        labels: int (clips,).
        folds: int (clips,), counted from 1.
    """

    audio: np.ndarray
    labels: np.ndarray
    folds: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe:
    """A softmax regression on standardized embeddings.

    Attributes:
        center: float32 (dim,), the mean of the training windows.
        scale: float32 (dim,), their standard deviation.
        weights: float32 (dim, classes).
        biases: float32 (classes,).
    """

    center: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    biases: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the weights are trained along, with Adam.

    Attributes:
        passes: Passes over the clips.
        batch_size: Windows in a batch.
        learning_rate: That of the first step; it falls to 0 along half a cosine.
    """

    passes: int = 30
    batch_size: int = 32
    learning_rate: float = 1e-3


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder of a SavedModel")
    parser.add_argument("--trained", required=True, help="which model it is, in a few words")
    parser.add_argument("--esc50", type=pathlib.Path, required=True, help="ESC-50's folder")
    parser.add_argument("--folds", type=int, default=5, help="how many of the folds to test")
    parser.add_argument("--passes", type=int, default=Recipe.passes, help="passes over the clips of the other folds")
    parser.add_argument("--learning-rate", type=float, default=Recipe.learning_rate, help="Adam's, at the beginning")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    flags = parser.parse_args()
    recipe = Recipe(passes=flags.passes, learning_rate=flags.learning_rate)
    clips = _read(flags.esc50)
    folds = sorted(set(clips.folds.tolist()))[: flags.folds]
    probes, frozen, strength = _best_probes(_embed_windows(flags.model, clips), clips, folds=folds)
    rows = []
    for fold, probe, accuracy in zip(folds, probes, frozen, strict=True):
        fine_tuned = _fine_tune(flags.model, probe, clips, fold=fold, recipe=recipe)
        rows.append({"fold": fold, "frozen": accuracy, "fine_tuned": fine_tuned})
        print(rows[-1], flush=True)
    figures = {
        "trained": flags.trained,
        "clips": len(clips.labels),
        "C": strength,
        "recipe": dataclasses.asdict(recipe),
        "folds": rows,
        "difference": difference([row["fine_tuned"] - row["frozen"] for row in rows]),
        "core_minutes": round(time.process_time() / 60, 1),
    }
    measuring.save("fine_tuning", figures, results=flags.results)


def _read(folder: pathlib.Path) -> Clips:
    clips, _ = read_esc50(folder)
    return Clips(
        audio=np.stack([samples for samples, _, _ in clips]),
        labels=np.array([label for _, (label,), _ in clips]),
        folds=np.array([fold for _, _, fold in clips]),
    )


def _embed_windows(model: str, clips: Clips) -> np.ndarray:
    """Returns the embeddings of the windows of the frozen model, float32 (clips, windows, dim)."""
    served = tf.saved_model.load(model)
    return np.concatenate([served.signatures["windows"](audio=batch)["embedding"] for batch in _whole(clips.audio)])


def _best_probes(x: np.ndarray, clips: Clips, *, folds: Sequence[int]) -> tuple[list[Probe], list[float], float]:
    """Trains a probe for each fold on all others.

    Returns:
        The probes, their accuracies on the folds, and the inverse strength C of the regularization that is best.
    """
    best: tuple[list[Probe], list[float], float] = ([], [-1.0], 0.0)
    for strength in EvaluatorConfig().linear_c:
        probes = _probes(x, clips, folds=folds, strength=strength)
        accuracies = []
        for fold, probe in zip(folds, probes, strict=True):
            tested = clips.folds == fold
            logits = ((x[tested] - probe.center) / probe.scale @ probe.weights + probe.biases).mean(axis=1)
            accuracies.append(_accuracy(logits, clips.labels[tested]))
        if np.mean(accuracies) > np.mean(best[1]):
            best = probes, accuracies, strength
    return best


def _probes(x: np.ndarray, clips: Clips, *, folds: Sequence[int], strength: float) -> list[Probe]:
    rows, windows = x.reshape(-1, x.shape[-1]), x.shape[1]
    of_rows = np.repeat(clips.folds, windows)
    trained = regression.fit(
        rows,
        np.eye(clips.labels.max() + 1, dtype=bool)[np.repeat(clips.labels, windows)],
        in_training=np.array([of_rows != fold for fold in folds]),
        strengths=[strength] * len(folds),
        kind="softmax",
    )
    probes = []
    for fold, weights, biases in zip(folds, trained.weights, trained.biases, strict=True):
        used = rows[of_rows != fold]
        center, scale = used.mean(axis=0), np.maximum(used.std(axis=0), 1e-6)
        probes.append(Probe(center=center, scale=scale, weights=(weights * scale).T, biases=biases + weights @ center))
    return probes


def _fine_tune(model: str, probe: Probe, clips: Clips, *, fold: int, recipe: Recipe) -> float:
    """Trains a probe and the model's weights on all folds but one, and returns the accuracy on that one."""
    served = tf.saved_model.load(model)
    crop = EmbeddingInfo.read(model).crop_samples
    trained, tested = np.flatnonzero(clips.folds != fold), np.flatnonzero(clips.folds == fold)
    weights, biases = tf.Variable(probe.weights), tf.Variable(probe.biases)
    variables = [weights, biases, *served.trainable_variables]
    rng = np.random.default_rng(fold)
    steps = recipe.passes * (len(trained) // recipe.batch_size)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps))
    optimizer.build(variables)

    def logits(embedding: tf.Tensor) -> tf.Tensor:
        return (embedding - probe.center) / probe.scale @ weights + biases

    @tf.function(autograph=False)
    def step(windows: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits(served(windows, training=True)))
            loss = tf.reduce_mean(each)
        optimizer.apply(tape.gradient(loss, variables), variables)

    for chosen in _batches(trained, recipe, rng=rng):
        starts = rng.integers(clips.audio.shape[1] - crop + 1, size=len(chosen))
        windows = clips.audio[chosen[:, None], starts[:, None] + np.arange(crop)]
        step(tf.constant(pcm.to_float(windows)), tf.constant(clips.labels[chosen]))
    embed = served.signatures["serving_default"]
    predicted = [logits(embed(audio=batch)["embedding"]) for batch in _whole(clips.audio[tested])]
    return _accuracy(np.concatenate(predicted), clips.labels[tested])


def _batches(clips: np.ndarray, recipe: Recipe, *, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yields the clips of each batch. What fills no batch is left out of a pass."""
    for _ in range(recipe.passes):
        batches = len(clips) // recipe.batch_size
        yield from rng.permutation(clips)[: batches * recipe.batch_size].reshape(batches, recipe.batch_size)


def _whole(audio: np.ndarray) -> Iterator[tf.Tensor]:
    """Yields clips in batches, float32 (batch, samples) in [-1, 1]."""
    for first in range(0, len(audio), BATCH_SIZE):
        yield tf.constant(pcm.to_float(audio[first : first + BATCH_SIZE]))


def _accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    return round(float((logits.argmax(axis=1) == labels).mean()), 4)


def difference(of_folds: Sequence[float]) -> dict[str, object]:
    """Returns the mean difference between the accuracies, with its 95 % interval by Student's t over the folds.

    There is no interval over a single fold.
    """
    mean = float(np.mean(of_folds))
    if len(of_folds) < 2:
        return {"mean": round(mean, 4), "interval_95": None}
    low, high = stats.t.interval(0.95, len(of_folds) - 1, loc=mean, scale=stats.sem(of_folds))
    return {"mean": round(mean, 4), "interval_95": [round(float(low), 4), round(float(high), 4)]}


if __name__ == "__main__":
    main()
