"""Where the sub-clips of a clip begin (paper, section 3). It imports nothing, so that also light modules may ask."""

import math


def subclip_starts(samples: int, *, crop: int, stride: int) -> list[int]:
    """Returns the first sample of each sub-clip of a clip.

    There is a sub-clip every `stride` samples from sample 0. The last one is moved back so that it ends with the clip,
    and every sample is covered. A clip that is not longer than the crop has one sub-clip.

    Args:
        samples: Length of the clip.
        crop: Length of a sub-clip, in samples.
        stride: Distance between the starts of two sub-clips, in samples.

    Raises:
        ValueError: One of the arguments is less than 1.
    """
    if min(samples, crop, stride) < 1:
        raise ValueError(f"samples {samples}, crop {crop} and stride {stride} must all be at least 1")
    last = max(samples - crop, 0)
    count = 1 + math.ceil(last / stride)
    return [min(index * stride, last) for index in range(count)]


def half_crop(crop: int) -> int:
    """Returns the paper's stride between sub-clips, half the crop, in samples."""
    return max(1, crop // 2)
