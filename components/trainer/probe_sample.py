"""The sample of labeled valid clips that the probe of validation scores."""

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np

from beam_jobs import examples
from beam_jobs.examples import sampling

_MAX_SUBCLIPS = 64
"""More sub-clips than a clip of 10 s usually has. Of longer clips, this number of evenly spaced ones is embedded."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeSample:
    """A sample of labeled clips. Their audio stays in the files of the examples until it is read.

    Attributes:
        info: The examples.
        numbers: Numbers of the clips in the valid split, ascending.
        targets: bool `(clips, classes)`, at least one label per clip.
    """

    info: examples.ExamplesInfo
    numbers: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    def audio(self) -> Iterator[np.ndarray]:
        """Reads the clips one by one, int16 `(samples,)` each."""
        parse = functools.partial(examples.parse, storage=self.info.storage)
        for clip in sampling.read_clips(self.info, "valid", numbers=self.numbers, parse=parse).as_numpy_iterator():
            yield clip["audio"]


def draw(info: examples.ExamplesInfo, *, max_clips: int, seed: int) -> ProbeSample | None:
    """Draws labeled clips from the valid split, see `sampling.drawing_order`.

    The sample depends on the examples and the arguments alone, so that it is the same on all hosts and after a resume.

    Args:
        info: The examples.
        max_clips: Maximum number of clips.
        seed: Seed of the sample.

    Returns:
        The sample, or None if no clip drawn from the valid split has a label or `max_clips` is 0.
    """
    if not max_clips or not info.label_names or "valid" not in info.splits:
        return None
    order = sampling.drawing_order(info, "valid", count=max_clips, seed=seed)
    chosen: dict[int, np.ndarray] = {}  # Number of the clip -> class indices.
    for first in range(0, len(order), max_clips):  # Usually, the first ones have a label, and no other is looked at.
        drawn = order[first : first + max_clips]
        read = sampling.read_clips(info, "valid", numbers=drawn, parse=examples.parse_labels).as_numpy_iterator()
        labels_of = {int(clip["number"]): clip["labels"] for clip in read}
        labeled = [number for number in drawn.tolist() if labels_of[number].size]
        chosen.update((number, labels_of[number]) for number in labeled[: max_clips - len(chosen)])
        if len(chosen) == max_clips:
            break
    if not chosen:
        return None
    numbers = np.array(sorted(chosen))
    targets = np.zeros((len(numbers), len(info.label_names)), bool)
    for row, number in zip(targets, numbers, strict=True):
        row[chosen[number]] = True
    return ProbeSample(info=info, numbers=numbers, targets=targets)


def evenly_spaced(starts: list[int]) -> list[int]:
    """Returns all starts of sub-clips, or evenly spaced ones if there are more than `_MAX_SUBCLIPS`."""
    if len(starts) <= _MAX_SUBCLIPS:
        return starts
    return [starts[index] for index in np.linspace(0, len(starts) - 1, _MAX_SUBCLIPS).astype(int)]
