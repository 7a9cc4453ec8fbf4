"""Sub-clips of a whole clip, and its embedding as their mean (paper, section 3: stride of half the crop)."""

from typing import Any

from keras import ops


def subclip_starts(samples: int, *, crop: int, stride: int) -> list[int]:
    """Where the sub-clips of a clip begin.

    Every `stride` samples from 0; the last one is shifted back to end with the clip, so that no sample is left out. A
    clip no longer than the crop gives one.

    Args:
        samples: Length of the clip.
        crop: Length of a sub-clip, in samples.
        stride: From one start to the next, in samples.

    Raises:
        ValueError: unless all three are at least 1.
    """
    if min(samples, crop, stride) < 1:
        raise ValueError(f"samples {samples}, crop {crop} and stride {stride} must all be at least 1")
    last = max(samples - crop, 0)
    return [min(index * stride, last) for index in range(1 - (-last // stride))]


def half_crop(crop: int) -> int:
    """The paper's stride from one sub-clip to the next, in samples."""
    return max(1, crop // 2)


def subclips(audio: Any, *, crop: int, stride: int) -> Any:
    """Cuts clips into sub-clips, see `subclip_starts`; shorter clips are tiled to the crop.

    Args:
        audio: `(batch, samples)`; the length need not be known when a graph is traced.
        crop: Length of a sub-clip, in samples.
        stride: From one start to the next, in samples.

    Returns:
        `(batch, windows, crop)`.
    """
    samples = ops.shape(audio)[1]
    last = ops.maximum(samples - crop, 0)
    starts = ops.minimum(ops.arange(1 + (last + stride - 1) // stride) * stride, last)
    index = (starts[:, None] + ops.arange(crop)[None, :]) % samples
    return ops.take(audio, index, axis=1)


def embed_windows(model: Any, audio: Any) -> dict[str, Any]:
    """Embeds every sub-clip of each clip, crop as in training and stride half of it.

    Args:
        model: A `models.dual.DualEncoder`, or anything with its `embedding_names`, `crop_samples` and `embed`.
        audio: `(batch, samples)` float32 in [-1, 1], of any length.

    Returns:
        Name of the embedding -> `(batch, windows, dim)`, and under `embedding` all of them concatenated.
    """
    crop = model.crop_samples
    windows = subclips(audio, crop=crop, stride=half_crop(crop))
    batch, count = ops.shape(windows)[0], ops.shape(windows)[1]
    flat = model.embed(ops.reshape(windows, (-1, crop)), training=False)
    by_format = {
        name: ops.reshape(flat[name], (batch, count, int(flat[name].shape[-1]))) for name in model.embedding_names
    }
    return {"embedding": ops.concatenate(list(by_format.values()), axis=-1), **by_format}


def embed_clips(model: Any, audio: Any) -> dict[str, Any]:
    """Embeds whole clips: the mean over the sub-clips of `embed_windows`, `(batch, dim)` each."""
    return {name: ops.mean(value, axis=1) for name, value in embed_windows(model, audio).items()}
