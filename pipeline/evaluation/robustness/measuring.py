"""Embeds a sample of clips as they are and perturbed, and compares the vectors."""

import dataclasses
import functools
import hashlib
import os
import pathlib
import shutil
from collections.abc import Iterator, Sequence

import numpy as np
from etils import epath

from beam_jobs import examples, storage
from beam_jobs.audio import pcm
from beam_jobs.audio.resample import to_int16
from beam_jobs.audio.sound import Sound
from beam_jobs.embedding import windows
from beam_jobs.embedding.embedder import BATCH_SIZE, TRAINED, Embedder
from beam_jobs.embedding.read import Embeddings
from beam_jobs.examples import sampling
from components import metrics
from components.base import Progress
from components.errors import UserError
from components.evaluator import clips as stored_clips
from components.evaluator import vectors as stored_vectors
from components.evaluator.recordings import recording_of
from pipeline.evaluation.robustness.curves import Curve, Curves
from pipeline.evaluation.robustness.perturbations import KINDS, perturb
from pipeline.vectors.head import training
from pipeline.vectors.head.training import Head

MOST_SECONDS = 10.0
"""Of a longer clip, the beginning is taken."""

_MOST_TRAINING_CLIPS = 10_000
_VERSION = 3
"""Raised when a perturbation changes, so that vectors of an earlier version are not used again."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """Clips to perturb.

    Attributes:
        audio: int16 (samples,) of each.
        sample_rate: In Hz.
        clip_ids: Name of each.
        targets: bool (clips, classes).
    """

    audio: Sequence[np.ndarray]
    sample_rate: int
    clip_ids: Sequence[str]
    targets: np.ndarray


def draw(directory: epath.PathLike, *, clips: int) -> Sample:
    """Draws clips from the eval split, or from the train split if there is no other to test on.

    Args:
        directory: The examples.
        clips: How many to draw at most, always the same.
    """
    info = examples.read_info(directory)
    split = "eval" if "eval" in info.splits else max(info.splits, key=lambda name: info.splits[name])
    numbers = sampling.drawing_order(info, split, count=clips, seed=0)[:clips]
    parse = functools.partial(examples.parse, storage=info.storage)
    read = list(sampling.read_clips(info, split, numbers=numbers, parse=parse).as_numpy_iterator())
    targets = np.zeros((len(read), len(info.label_names)), bool)
    for row, clip in zip(targets, read, strict=True):
        row[clip["labels"]] = True
    most = round(MOST_SECONDS * info.sample_rate)
    return Sample(
        audio=[clip["audio"][:most].copy() for clip in read],
        sample_rate=info.sample_rate,
        clip_ids=[clip["clip_id"].decode() for clip in read],
        targets=targets,
    )


def measure(
    sample: Sample, embedder: Embedder, embeddings: Embeddings, *, work: pathlib.Path, progress: Progress
) -> Curves:
    """Measures all perturbations. A call that was stopped is continued by the same call.

    Args:
        sample: The clips.
        embedder: The model; its vectors of all clips are those of the embedder `trained` in the embeddings.
        embeddings: Train the probe, without the clips of the sample.
        work: Keeps the vectors of finished levels, in a folder for each model and sample.
        progress: Receives the progress.

    Raises:
        UserError: An embedding is not finite.
    """
    folder = _folder(work, sample, embeddings)
    levels = [(kind, level) for kind in KINDS for level in KINDS[kind].levels]
    clean = _embed_once(sample, embedder, folder / "clean.npy", kind="", level=0.0)
    perturbed = {}
    for done, (kind, level) in enumerate(levels, 1):
        perturbed[kind, level] = _embed_once(sample, embedder, folder / f"{kind}_{level:g}.npy", kind=kind, level=level)
        progress.update(done, total=len(levels), unit="levels")
    head = train_probe(embeddings, but=sample.clip_ids)
    metric = head and ("accuracy" if head.activation == "softmax" else "mAP")
    return Curves(
        clips=len(sample.audio),
        metric=metric,
        clean_score=_score(head, clean, sample.targets),
        curves={
            kind: _curve(kind, clean, [perturbed[kind, level] for level in KINDS[kind].levels], head, sample.targets)
            for kind in KINDS
        },
    )


def train_probe(embeddings: Embeddings, *, but: Sequence[str]) -> Head | None:
    """Trains a linear classifier on the clean vectors of clips of other recordings than those in the sample.

    Returns:
        The classifier, or None if the labels or the recordings allow none.
    """
    info = embeddings.info
    clips = stored_clips.read_clips(embeddings, TRAINED)
    recordings, heard = [recording_of(name) for name in clips.clip_ids], set(map(recording_of, but))
    chosen = (clips.label_counts > 0) & np.array([name not in heard for name in recordings], bool)
    others = np.flatnonzero(chosen)
    chosen[np.random.default_rng(0).permutation(others)[_MOST_TRAINING_CLIPS:]] = False
    taken = clips.take(chosen, classes=range(len(info.label_names)))
    targets = taken.targets(len(info.label_names))
    counts = targets.sum(axis=0)
    if (counts >= 2).sum() < 2 or len({recordings[index] for index in np.flatnonzero(chosen)}) < 2:
        return None
    columns = tuple(info.embedders[TRAINED].dims)
    means = stored_vectors.read_means(embeddings, TRAINED, clips, chosen=chosen, columns=columns)
    x = stored_vectors.concatenated(means, columns)
    head, _ = training.train(x, targets, files=taken.clip_ids.tolist(), classes=info.label_names)
    return head


def _folder(work: pathlib.Path, sample: Sample, embeddings: Embeddings) -> pathlib.Path:
    """Returns the folder for the vectors of this model and sample, and removes those of others."""
    audio = hashlib.sha256()
    for samples in sample.audio:  # Files may have changed under the same names.
        audio.update(samples.tobytes())
    model = embeddings.info.embedders[TRAINED].digest
    parts = (_VERSION, model, sample.sample_rate, sample.clip_ids, audio.hexdigest())
    digest = storage.text_digest(str(parts))[:16]
    if work.exists():
        for other in work.iterdir():
            if other.name != digest:
                shutil.rmtree(other)
    (work / digest).mkdir(parents=True, exist_ok=True)
    return work / digest


def _embed_once(sample: Sample, embedder: Embedder, file: pathlib.Path, *, kind: str, level: float) -> np.ndarray:
    """Returns the mean vector of each clip, float32 (clips, dim): those that an earlier call has kept, or new ones."""
    try:
        vectors = np.load(file)
    except (FileNotFoundError, ValueError, EOFError):  # There is none, or a power cut has damaged it.
        vectors = embed(sample, embedder, kind=kind, level=level)
        unfinished = file.with_suffix(storage.UNFINISHED)
        with unfinished.open("wb") as opened:
            np.save(opened, vectors)
        os.replace(unfinished, file)
    _check_finite(vectors, sample, kind=kind, level=level)
    return vectors


def _check_finite(vectors: np.ndarray, sample: Sample, *, kind: str, level: float) -> None:
    is_finite = np.isfinite(vectors).all(axis=1)
    if not is_finite.all():
        how = f"with {KINDS[kind].title} ({level:g} {KINDS[kind].unit})" if kind else "as it is"
        raise UserError(
            f"--robustness: the model gives the clip {sample.clip_ids[is_finite.argmin()]} {how} an embedding that is "
            "not finite, which has neither a cosine nor a class: evaluate without this flag."
        )


def embed(sample: Sample, embedder: Embedder, *, kind: str = "", level: float = 0.0) -> np.ndarray:
    """Embeds the clips of a sample, as they are or perturbed.

    Returns:
        float32 (clips, dim), the mean over the windows of each, with all embeddings side by side.
    """

    def sounds() -> Iterator[tuple[str, windows.Sound]]:
        for samples, clip_id in zip(sample.audio, sample.clip_ids, strict=True):
            waveform = pcm.to_float(samples)
            if kind:
                waveform = perturb(waveform, sample_rate=sample.sample_rate, kind=kind, level=level, clip_id=clip_id)
            sound = Sound(samples=waveform, rate=sample.sample_rate, codec="")
            yield clip_id, windows.ArraySound(to_int16(sound, sample_rate=embedder.framing.sample_rate))

    means = windows.clip_means(windows.embed(sounds(), embedder, batch_size=BATCH_SIZE))
    return np.concatenate([np.concatenate([clip.vectors[name] for name in embedder.dims], axis=1) for clip in means])


def _curve(
    kind: str, clean: np.ndarray, perturbed: Sequence[np.ndarray], head: Head | None, targets: np.ndarray
) -> Curve:
    cosines = np.array([_cosines(clean, vectors) for vectors in perturbed])  # (levels, clips)
    return Curve(
        title=KINDS[kind].title,
        unit=KINDS[kind].unit,
        levels=KINDS[kind].levels,
        cosines=tuple(map(float, cosines.mean(axis=1))),
        low_cosines=tuple(map(float, np.percentile(cosines, 10, axis=1))),
        scores=tuple(_score(head, vectors, targets) for vectors in perturbed),
    )


def _cosines(clean: np.ndarray, perturbed: np.ndarray) -> np.ndarray:
    """Returns the cosine of each clip; 1 for two vectors of zeros and 0 for one."""
    products = np.einsum("ij,ij->i", clean, perturbed, dtype=np.float64)
    lengths = np.linalg.norm(clean.astype(np.float64), axis=1) * np.linalg.norm(perturbed.astype(np.float64), axis=1)
    both_zero = ~clean.any(axis=1) & ~perturbed.any(axis=1)
    return np.where(both_zero, 1.0, np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0))


def _score(head: Head | None, vectors: np.ndarray, targets: np.ndarray) -> float | None:
    labeled = targets.any(axis=1)
    if head is None or not labeled.any():
        return None
    scores = head.scores(vectors[labeled])
    if head.activation == "sigmoid":
        return metrics.mean(metrics.average_precisions(targets[labeled], scores))
    return float(targets[labeled][np.arange(labeled.sum()), scores.argmax(axis=1)].mean())
