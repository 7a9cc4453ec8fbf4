"""The windows of real sound with which the files are compared."""

import dataclasses
import functools
import math

import numpy as np
from etils import epath

from beam_jobs import examples
from beam_jobs.examples import sampling

_SEED = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """The beginnings of clips.

    Attributes:
        windows: int16 (windows, samples).
        targets: bool (windows, classes), the labels of their clips; no columns if the examples have no classes.
    """

    windows: np.ndarray
    targets: np.ndarray


def draw(examples_dir: epath.Path, *, count: int, samples: int) -> Sample:
    """Draws clips from all splits, from each in proportion to its size.

    Args:
        examples_dir: The examples.
        count: Number of clips, if there are as many; a split that is not empty gives at least one.
        samples: Length of a window. A shorter clip is repeated.
    """
    info = examples.read_info(examples_dir)
    share = min(1.0, count / sum(info.splits.values()))
    parse = functools.partial(examples.parse, storage=info.storage)
    windows, targets = [], []
    for split, size in info.splits.items():
        drawn = math.ceil(share * size)
        numbers = sampling.drawing_order(info, split, count=drawn, seed=_SEED)[:drawn]
        for clip in sampling.read_clips(info, split, numbers=numbers, parse=parse).as_numpy_iterator():
            windows.append(np.resize(clip["audio"][:samples], samples))
            targets.append(np.isin(np.arange(len(info.label_names)), clip["labels"]))
    return Sample(windows=np.stack(windows), targets=np.stack(targets))
