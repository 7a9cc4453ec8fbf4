"""The functions behind the SavedModel's signatures. They embed long clips in portions of a few sub-clips."""

from collections.abc import Callable, Mapping

import tensorflow as tf

from models import subclip_starts, subclips
from models.dual import DualEncoder

SUBCLIPS_AT_A_TIME = 32
"""How many sub-clips go through the encoders at once. With more clips than that, one sub-clip of each."""

# Name of the embedding -> what has been computed of it so far.
_State = Mapping[str, tf.Tensor | tf.TensorArray]


def embed_subclips(model: DualEncoder, audio: tf.Tensor) -> dict[str, tf.Tensor]:
    """Embeds all sub-clips like `models.subclips.embed_subclips`.

    Its memory grows with the number of clips, but not with their length, apart from that of the audio and the result.

    Args:
        model: The model.
        audio: float32 (batch, samples), with at least one clip and one sample.

    Returns:
        Name of the embedding -> (batch, subclips, dim).
    """

    def write(portion: tf.Tensor, embedded: Mapping[str, tf.Tensor], arrays: _State) -> _State:
        # `concat` joins along the first axis.
        return {name: array.write(portion, tf.transpose(embedded[name], (1, 0, 2))) for name, array in arrays.items()}

    arrays = {
        name: tf.TensorArray(tf.float32, size=0, dynamic_size=True, infer_shape=False, element_shape=(None, None, dim))
        for name, dim in _dims(model).items()
    }
    arrays = _embed_in_portions(model, audio, write, arrays)
    return {name: tf.transpose(array.concat(), (1, 0, 2)) for name, array in arrays.items()}


def embed_clips(model: DualEncoder, audio: tf.Tensor) -> dict[str, tf.Tensor]:
    """Averages `embed_subclips` over the sub-clips of each clip, (batch, dim) each."""

    def add(_: tf.Tensor, embedded: Mapping[str, tf.Tensor], sums: _State) -> _State:
        return {name: total + tf.reduce_sum(embedded[name], axis=1) for name, total in sums.items()}

    sums = {name: tf.zeros((tf.shape(audio)[0], dim)) for name, dim in _dims(model).items()}
    sums = _embed_in_portions(model, audio, add, sums)
    count = tf.cast(_count(model, audio), tf.float32)
    return {name: total / count for name, total in sums.items()}


def _embed_in_portions(
    model: DualEncoder,
    audio: tf.Tensor,
    take: Callable[[tf.Tensor, Mapping[str, tf.Tensor], _State], _State],
    state: _State,
) -> _State:
    """Embeds the sub-clips of all clips portion by portion; `take` adds the portion of a given number to the state."""
    count = _count(model, audio)
    size = tf.maximum(1, SUBCLIPS_AT_A_TIME // tf.shape(audio)[0])  # Sub-clips of each clip in a portion.

    def embed_portion(portion: tf.Tensor, state: _State) -> tuple[tf.Tensor, _State]:
        numbers = tf.range(portion * size, tf.minimum((portion + 1) * size, count))
        return portion + 1, take(portion, subclips.embed_subclips(model, audio, numbers), state)

    # Parallel iterations would have several portions in memory.
    _, state = tf.while_loop(
        lambda portion, _: portion * size < count, embed_portion, (tf.constant(0), state), parallel_iterations=1
    )
    return state


def _count(model: DualEncoder, audio: tf.Tensor) -> tf.Tensor:
    crop = model.crop_samples
    return subclips.count_subclips(tf.shape(audio)[1], crop=crop, stride=subclip_starts.half_crop(crop))


def _dims(model: DualEncoder) -> dict[str, int]:
    return {"embedding": sum(model.dims.values()), **model.dims}
