"""Embeds windows of clips a few at a time, so that the memory of a call does not grow with the length of the sound."""

from collections.abc import Callable, Mapping

import tensorflow as tf

from components.exporter.sounds import Clips
from components.exporter.windows import Windows

SAMPLES_AT_A_TIME = 512_000
"""So many samples go through the encoders at once, in whole windows, whichever clips they are of.

Their activations take the memory of a call, and grow with the samples and the width of the encoders. The preset `tiny`
would be slower with fewer windows than these 32, and `small` takes 1.5 GiB for these 10.
"""

Embed = Callable[[tf.Tensor], Mapping[str, tf.Tensor]]
"""Windows (windows, crop) -> name of the embedding -> (windows, dim)."""

# Name of the embedding -> what has been computed of it so far.
_State = Mapping[str, tf.Tensor | tf.TensorArray]


def windows_at_a_time(crop: int) -> int:
    """Returns how many windows of `crop` samples go through the encoders at once."""
    return max(1, SAMPLES_AT_A_TIME // crop)


def each_window(embed: Embed, clips: Clips, windows: Windows, *, dims: Mapping[str, int]) -> dict[str, tf.Tensor]:
    """Embeds every window of every clip.

    Args:
        embed: The encoders.
        clips: The clips.
        windows: Which windows to embed.
        dims: Name of each embedding -> its size.

    Returns:
        Name of the embedding -> (windows of all clips, dim), clip by clip.
    """

    def write(portion: tf.Tensor, _: tf.Tensor, embedded: Mapping[str, tf.Tensor], arrays: _State) -> _State:
        return {name: array.write(portion, embedded[name]) for name, array in arrays.items()}

    arrays = {
        name: tf.TensorArray(tf.float32, size=0, dynamic_size=True, infer_shape=False, element_shape=(None, dim))
        for name, dim in dims.items()
    }
    arrays = _in_portions(embed, clips, windows, write, arrays, size=windows_at_a_time(windows.crop))
    return {name: array.concat() for name, array in arrays.items()}


def clip_means(
    embed: Embed, clips: Clips, windows: Windows, *, dims: Mapping[str, int], at_once: bool
) -> dict[str, tf.Tensor]:
    """Averages the embeddings of `each_window` over the windows of each clip, (clips, dim) each.

    Args:
        embed: See `each_window`.
        clips: See there.
        windows: See there.
        dims: See there.
        at_once: Whether all windows go through the encoders together, because they normalize over them.
    """
    count = tf.size(clips.lengths)

    def add(_: tf.Tensor, clip: tf.Tensor, embedded: Mapping[str, tf.Tensor], sums: _State) -> _State:
        added = {name: tf.math.unsorted_segment_sum(embedded[name], clip, count) for name in sums}
        # The shape of a loop's state must not change, and TensorFlow knows the number of clips better before the loop.
        return {name: tf.ensure_shape(total + added[name], total.shape) for name, total in sums.items()}

    sums = {name: tf.zeros((count, dim)) for name, dim in dims.items()}
    size = None if at_once else windows_at_a_time(windows.crop)
    sums = _in_portions(embed, clips, windows, add, sums, size=size)
    counts = tf.cast(windows.count(clips.lengths), tf.float32)[:, None]
    return {name: total / counts for name, total in sums.items()}


def _in_portions(
    embed: Embed,
    clips: Clips,
    windows: Windows,
    take: Callable[[tf.Tensor, tf.Tensor, Mapping[str, tf.Tensor], _State], _State],
    state: _State,
    *,
    size: int | None,
) -> _State:
    """Embeds all windows, `size` at a time; None for all at once.

    Args:
        embed: See `each_window`.
        clips: See there.
        windows: See there.
        take: Adds a portion to the state: its number, the clip of each of its windows, and their embeddings.
        state: The state before the first portion.
        size: Windows in a portion.
    """
    counts = windows.count(clips.lengths)
    ends = tf.cumsum(counts)  # The windows of a clip and of all clips before it.
    offsets = tf.cumsum(clips.lengths, exclusive=True)
    total = ends[-1]
    step = total if size is None else tf.constant(size, tf.int64)

    def embed_portion(portion: tf.Tensor, state: _State) -> tuple[tf.Tensor, _State]:
        first = tf.cast(portion, tf.int64) * step
        numbers = tf.range(first, tf.minimum(first + step, total))
        clip = tf.searchsorted(ends, numbers, side="right")
        numbers -= tf.gather(ends - counts, clip)
        positions = windows.positions(numbers, tf.gather(clips.lengths, clip))
        audio = tf.gather(clips.samples, tf.gather(offsets, clip)[:, None] + positions)
        embedded = embed(tf.ensure_shape(audio, (None, windows.crop)))
        return portion + 1, take(portion, clip, embedded, state)

    # Parallel iterations would have several portions in memory.
    _, state = tf.while_loop(
        lambda portion, _: tf.cast(portion, tf.int64) * step < total,
        embed_portion,
        (tf.constant(0), state),
        parallel_iterations=1,
    )
    return state
