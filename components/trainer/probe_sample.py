"""The sample of labeled valid clips that the probe of validation scores."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from beam_jobs import examples
from beam_jobs.examples import random_access

_MAX_SUBCLIPS = 64
"""More sub-clips than a clip of 10 s usually has. Of longer clips, this number of evenly spaced ones is embedded."""

_READS_PER_CLIP = 10
"""Bounds how many clips are looked at where most have no label."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeSample:
    """A sample of labeled clips. Their audio stays in the files of the examples until it is read.

    Attributes:
        places: Where the clips are, in the order of the files.
        targets: bool `(clips, classes)`, at least one label per clip.
        storage: How the samples are stored, see `ExamplesInfo`.
    """

    places: tuple[random_access.RecordPlace, ...]
    targets: np.ndarray
    storage: str

    def __len__(self) -> int:
        return len(self.places)

    def audio(self) -> Iterator[np.ndarray]:
        """Reads the clips one by one, int16 `(samples,)` each."""
        for place in self.places:
            yield examples.parse(random_access.read_record(place), storage=self.storage)["audio"].numpy()


def draw(info: examples.ExamplesInfo, *, max_clips: int, seed: int) -> ProbeSample | None:
    """Draws labeled clips from the whole valid split, each with the same probability.

    The sample depends on the examples and the arguments alone, so that it is the same on all hosts and after a resume.

    Args:
        info: The examples.
        max_clips: Maximum number of clips.
        seed: Seed of the sample.

    Returns:
        The sample, or None if no clip of the valid split has a label or `max_clips` is 0.
    """
    if not max_clips or not info.label_names or "valid" not in info.splits:
        return None
    places = [place for file in info.files("valid") for place in random_access.record_places(file)]
    order = np.random.default_rng(seed).permutation(len(places))
    labels_of: dict[int, list[int]] = {}
    for index in order[: _READS_PER_CLIP * max_clips]:
        labels = _labels(random_access.read_record(places[index]))
        if labels:
            labels_of[index] = labels
        if len(labels_of) == max_clips:
            break
    if not labels_of:
        return None
    chosen = sorted(labels_of)  # In the order of the files, reading is fastest.
    targets = np.zeros((len(chosen), len(info.label_names)), bool)
    for row, index in zip(targets, chosen, strict=True):
        row[labels_of[index]] = True
    return ProbeSample(places=tuple(places[index] for index in chosen), targets=targets, storage=info.storage)


def spread(starts: list[int]) -> list[int]:
    """Returns all starts of sub-clips, or evenly spaced ones if there are more than `_MAX_SUBCLIPS`."""
    if len(starts) <= _MAX_SUBCLIPS:
        return starts
    return [starts[index] for index in np.linspace(0, len(starts) - 1, _MAX_SUBCLIPS).astype(int)]


def _labels(record: bytes) -> list[int]:
    """Returns the class indices of a serialized Example, without decoding its audio."""
    return list(tf.train.Example.FromString(record).features.feature["labels"].int64_list.value)
