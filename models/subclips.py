"""Evaluation of whole clips: sub-clips as long as a crop, and their embeddings (paper, section 3)."""

from keras import ops

from models.dual import DualEncoder
from models.subclip_starts import half_crop
from models.typing import Tensor


def count_subclips(samples: Tensor, *, crop: int, stride: int) -> Tensor:
    """Returns how many sub-clips `subclip_starts` lists for clips of a length that is known when a graph runs."""
    last = ops.maximum(samples - crop, 0)
    return 1 + (last + stride - 1) // stride


def take_subclips(audio: Tensor, numbers: Tensor, *, crop: int, stride: int) -> Tensor:
    """Cuts some of the sub-clips of `subclip_starts` out of clips. A clip shorter than the crop is repeated to fill it.

    Args:
        audio: `(batch, samples)`. The length may be unknown when a graph is traced.
        numbers: `(count,)`, which sub-clips to take, from 0.
        crop: Length of a sub-clip, in samples.
        stride: Distance between the starts of two sub-clips, in samples.

    Returns:
        `(batch, count, crop)`.
    """
    samples = ops.shape(audio)[1]
    starts = ops.minimum(numbers * stride, ops.maximum(samples - crop, 0))  # (count,)
    indices = (starts[:, None] + ops.arange(crop)[None, :]) % samples  # (count, crop)
    return ops.take(audio, indices, axis=1)  # (batch, count, crop)


def split_into_subclips(audio: Tensor, *, crop: int, stride: int) -> Tensor:
    """Cuts all sub-clips out of clips, `(batch, subclips, crop)`; see `take_subclips` for the arguments."""
    count = count_subclips(ops.shape(audio)[1], crop=crop, stride=stride)
    return take_subclips(audio, ops.arange(count), crop=crop, stride=stride)


def embed_subclips(model: DualEncoder, audio: Tensor, numbers: Tensor | None = None) -> dict[str, Tensor]:
    """Embeds sub-clips of each clip, all at once. They are as long as the crops of training, and overlap by half.

    Args:
        model: The model.
        audio: `(batch, samples)` float32 in [-1, 1], of any length.
        numbers: `(count,)`, which sub-clips to embed, from 0; None for all.

    Returns:
        Name of the embedding -> `(batch, count, dim)`. `embedding` is the concatenation of all others.
    """
    crop = model.crop_samples
    stride = half_crop(crop)
    if numbers is None:
        numbers = ops.arange(count_subclips(ops.shape(audio)[1], crop=crop, stride=stride))
    subclips = take_subclips(audio, numbers, crop=crop, stride=stride)  # (batch, count, crop)
    batch, count = ops.shape(subclips)[0], ops.shape(subclips)[1]
    flat = model.embed(ops.reshape(subclips, (-1, crop)), training=False)  # (batch * count, dim) each
    embeddings = {
        name: ops.reshape(flat[name], (batch, count, int(flat[name].shape[-1]))) for name in model.embedding_names
    }
    return {"embedding": ops.concatenate(list(embeddings.values()), axis=-1), **embeddings}


def embed_clips(model: DualEncoder, audio: Tensor) -> dict[str, Tensor]:
    """Embeds whole clips: averages `embed_subclips` over the sub-clips of each clip, `(batch, dim)` each."""
    return {name: ops.mean(values, axis=1) for name, values in embed_subclips(model, audio).items()}
