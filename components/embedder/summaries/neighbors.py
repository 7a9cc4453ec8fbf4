"""Clips to hear with their nearest neighbors: what the embedding takes for alike."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from beam_jobs.audio import log_mel
from components import markdown, tensorboard
from components.embedder.summaries.sample import DrawnClip

QUERIES = 5
NEAREST = 3
"""Neighbors of each query."""

MOST_SECONDS = 10
"""Of longer clips, only the beginning can be heard."""


@dataclasses.dataclass(frozen=True)
class Query:
    """A clip and its neighbors, as indices into the sample.

    Attributes:
        clip: The clip.
        nearest: Its neighbors, the nearest one first.
        cosines: The similarity of each.
    """

    clip: int
    nearest: tuple[int, ...]
    cosines: tuple[float, ...]

    @property
    def heard(self) -> tuple[int, ...]:
        """All clips that can be heard."""
        return (self.clip, *self.nearest)


def find(clips: Sequence[DrawnClip]) -> list[Query]:
    """Chooses clips of the test split, of different classes where there are some, and finds their neighbors.

    The neighbors come from all splits of the sample. Similar are clips with a large cosine of their vectors.

    Args:
        clips: The sample.
    """
    split = next((split for split in ("eval", "valid", "train") if any(clip.split == split for clip in clips)), None)
    candidates = [index for index, clip in enumerate(clips) if clip.split == split]
    seen: set[str] = set()
    chosen, others = [], []
    for index in candidates:
        (others if clips[index].label in seen else chosen).append(index)
        seen.add(clips[index].label)
    vectors = np.stack([clip.vector for clip in clips]) if clips else np.zeros((0, 1), np.float32)
    queries = []
    for index in (chosen + others)[:QUERIES]:
        cosines = vectors @ vectors[index]
        cosines[index] = -np.inf
        nearest = np.argsort(-cosines, kind="stable")[: min(NEAREST, len(clips) - 1)]
        queries.append(Query(index, tuple(nearest.tolist()), tuple(cosines[nearest].tolist())))
    return queries


def write(
    queries: Sequence[Query], clips: Sequence[DrawnClip], audio: Mapping[int, np.ndarray], *, sample_rate: int
) -> None:
    """Writes players, a picture of each query with its neighbors, and a table, to the default writer.

    Args:
        queries: See `find`.
        clips: The sample.
        audio: Index of a clip -> its first `MOST_SECONDS`, int16 (samples,), for all clips that are heard.
        sample_rate: In Hz.
    """
    rows = []
    for place, query in enumerate(queries, start=1):
        heard = [clips[index] for index in query.heard]
        sounds = [audio[index] for index in query.heard]
        names = [f"0 clip: {_label(heard[0])}"]
        for n, (clip, cosine) in enumerate(zip(heard[1:], query.cosines, strict=True), start=1):
            names.append(f"{n} nearest, cosine {cosine:.2f}: {_label(clip)}")
        for name, clip, sound in zip(names, heard, sounds, strict=True):
            description = markdown.escaped(f"{clip.clip_id}, {clip.split}, {_label(clip)}")
            tensorboard.audio(f"neighbors {place}/{name}", sound, sample_rate=sample_rate, description=description)
        tf.summary.image(f"neighbors/{place}", _picture(sounds, names, sample_rate=sample_rate))
        rows.append([markdown.escaped(f"{_label(clip)} ({clip.clip_id})") for clip in heard])
    header = ("clip", *(f"neighbor {n}" for n in range(1, NEAREST + 1)))
    text = f"The nearest of {len(clips):,} clips that were drawn from all splits.\n\n"
    tf.summary.text("neighbors/table", text + markdown.table(header, rows))


def _label(clip: DrawnClip) -> str:
    return clip.label or "no label"


def _picture(sounds: Sequence[np.ndarray], titles: Sequence[str], *, sample_rate: int) -> np.ndarray:
    """Draws log-mel spectrograms one below the other, with one scale of time and of color."""
    fig = tensorboard.figure(width=8.0, height=1.5 * len(sounds) + 0.3, layout=None)  # A layout engine is slow.
    fig.subplots_adjust(left=0.02, right=0.98, bottom=0.5 / fig.get_figheight(), top=0.95, hspace=0.25)
    axes = fig.subplots(len(sounds), sharex=True, squeeze=False)[:, 0]
    energies = [log_mel.log_mel(sound, sample_rate=sample_rate) for sound in sounds]
    limits = {"vmin": min(energy.min() for energy in energies), "vmax": max(energy.max() for energy in energies)}
    longest = max(sound.size for sound in sounds) / sample_rate
    for ax, energy, sound, title in zip(axes, energies, sounds, titles, strict=True):
        extent = (0.0, sound.size / sample_rate, 0.0, float(log_mel.BANDS))
        ax.imshow(energy.T, origin="lower", aspect="auto", extent=extent, cmap="magma", **limits)
        ax.set_title(title, fontsize=9, loc="left", parse_math=False)
        ax.set(yticks=[], xlim=(0, longest))
    axes[-1].set_xlabel("s")
    return tensorboard.figure_image(fig)
