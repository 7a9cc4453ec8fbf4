"""Augmentations (paper, section 2.2). They run per example, on the accelerator, and in training only.

A few random numbers in [0, 1) decide how an example is augmented. The Trainer passes them as `draws`. It derives them
from the example's position in the global batch, so they do not depend on the number of replicas and micro-batches.
Without `draws`, a layer draws its own numbers from a `keras.random.SeedGenerator`.
"""

import itertools

import keras
from keras import ops

from models.config import AugmentConfig
from models.frontends import FrontEnd, Waveform
from models.typing import Shape, Tensor


def build(
    config: AugmentConfig, *, front_end: FrontEnd, sample_rate: int, mixing_group: int, seed: int | None
) -> tuple[list[keras.layers.Layer], list[keras.layers.Layer]]:
    """Builds the augmentations of a branch.

    Args:
        config: Which augmentations are on, and how strong they are.
        front_end: The front end of the branch. All augmentations except mixing change its `FrontEnd.bands`.
        sample_rate: In Hz.
        mixing_group: See `AudioMixing`.
        seed: Seed of the branch. The layers use this number and the following ones. None for random seeds.

    Returns:
        The layers for the waveform and the layers for the bands, in the order in which to apply them.

    Raises:
        ValueError: The config masks or shifts the bands of a waveform, which has none.
    """
    if (config.frequency_mask or config.frequency_shift) and isinstance(front_end, Waveform):
        raise ValueError("a waveform has no bands: frequency_mask and frequency_shift are for spectra")
    seeds = itertools.repeat(None) if seed is None else itertools.count(seed)
    silence = front_end.silence
    on_waveform, on_bands = [], []
    if config.mixing:
        on_waveform.append(AudioMixing(group=mixing_group, seed=next(seeds)))
    if config.frequency_shift:
        on_bands.append(FrequencyShift(farthest=config.frequency_shift, value=silence, seed=next(seeds)))
    if config.time_mask_seconds:
        longest = config.longest_time_mask(sample_rate=sample_rate, hop=front_end.hop)
        on_bands.append(Mask(axis=1, longest=longest, value=silence, seed=next(seeds)))
    if config.frequency_mask:
        on_bands.append(Mask(axis=2, longest=config.frequency_mask, value=silence, seed=next(seeds)))
    return on_waveform, on_bands


class _Augmentation(keras.layers.Layer):
    """Base class: applies `augment(x, draws)` in training, and is the identity otherwise.

    It always computes in float32, because 16-bit floats cannot represent all indices and draws.

    Attributes:
        draws_per_example: Number of random numbers that augment an example.
    """

    draws_per_example: int

    def __init__(self, *, seed: int | None = None, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.seed = seed
        self.random = keras.random.SeedGenerator(seed)

    def call(self, x: Tensor, draws: Tensor | None = None, training: bool = False) -> Tensor:
        """Augments `x` in training.

        Args:
            x: `(batch, ...)`.
            draws: `(batch, draws_per_example)` float32 in [0, 1). If None, the layer draws them itself.
            training: Whether to augment.

        Returns:
            A tensor of the shape of `x`.
        """
        if not training:
            return x
        if draws is None:
            draws = keras.random.uniform((ops.shape(x)[0], self.draws_per_example), dtype="float32", seed=self.random)
        return self.augment(x, draws)

    def augment(self, x: Tensor, draws: Tensor) -> Tensor:
        """Augments `x`; for the arguments see `call`."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Shape, draws_shape: Shape | None = None) -> Shape:
        del draws_shape
        return input_shape

    def get_config(self) -> dict:
        return {"name": self.name, "seed": self.seed}


@keras.saving.register_keras_serializable("diptych")
class AudioMixing(_Augmentation):
    """Adds another clip as noise: `alpha x1 + (1 - alpha) x2` with alpha ~ Beta(5, 2) (paper, eq. (2)).

    The input is `(batch, samples)`. Every `group` consecutive examples form a mixing group. The last group may be
    smaller. Each example is mixed with a random other example of its group, so the partner does not depend on how a
    batch is split across replicas. An example that is alone in its group does not change.
    """

    draws_per_example = 7  # one for the partner, six for alpha

    def __init__(self, *, group: int = 32, **kwargs):
        super().__init__(**kwargs)
        if group < 2:
            raise ValueError(f"a mixing group needs at least 2 examples, not {group}")
        self.group = group

    def augment(self, x: Tensor, draws: Tensor) -> Tensor:
        batch = ops.shape(x)[0]
        index = ops.arange(batch)  # (batch,). The next five tensors have the same shape.
        start = index // self.group * self.group
        size = ops.minimum(start + self.group, batch) - start
        others = ops.cast(ops.maximum(size - 1, 1), "float32")
        offset = 1 + ops.cast(ops.floor(draws[:, 0] * others), "int32")
        partner = start + (index - start + ops.minimum(offset, size - 1)) % size
        # The fifth smallest of six uniform numbers follows Beta(5, 2). XLA cannot compile `keras.random.beta`.
        alpha = ops.sort(draws[:, 1:], axis=1)[:, 4:5]  # (batch, 1)
        return alpha * x + (1.0 - alpha) * ops.take(x, partner, axis=0)

    @classmethod
    def weakened(cls, draws: Tensor, *, share: Tensor | float) -> Tensor:
        """Returns draws with which the other clip has only a share of the weight that it has with `draws`.

        Args:
            draws: `(batch, draws_per_example)`.
            share: Scalar from 0, no other clip, to 1.
        """
        # The six numbers stay in order, so alpha, which is the fifth of them, becomes 1 - share (1 - alpha). The other
        # clip weighs 1 - alpha.
        return ops.concatenate([draws[:, :1], 1.0 - share * (1.0 - draws[:, 1:])], axis=1)

    def get_config(self) -> dict:
        return {**super().get_config(), "group": self.group}


@keras.saving.register_keras_serializable("diptych")
class Mask(_Augmentation):
    """Time or frequency masking: replaces a block of up to `longest` consecutive entries along `axis`, per example.

    The length of the block is uniform in [0, longest], and its position is uniform among those that fit. Masked entries
    become `value`, which is `FrontEnd.silence`: 0 in a waveform, the log floor in a spectrum.
    """

    draws_per_example = 2  # length and start

    def __init__(self, *, axis: int, longest: int, value: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        if longest < 0:
            raise ValueError(f"a mask cannot be {longest} long: choose 0 or more")
        self.axis, self.longest, self.value = axis, longest, value

    def augment(self, x: Tensor, draws: Tensor) -> Tensor:
        batch, size = ops.shape(x)[0], ops.shape(x)[self.axis]
        longest = ops.cast(ops.minimum(self.longest, size), "float32")
        length = ops.floor(draws[:, :1] * (longest + 1.0))  # (batch, 1)
        last_start = ops.cast(size, "float32") - length  # (batch, 1)
        start = ops.floor(draws[:, 1:] * (last_start + 1.0))  # (batch, 1)
        position = ops.cast(ops.arange(size), "float32")[None]  # (1, size)
        masked = ops.logical_and(position >= start, position < start + length)  # (batch, size)
        shape = [1] * len(x.shape)
        shape[0] = batch
        shape[self.axis] = size
        return ops.where(ops.reshape(masked, shape), self.value, x)

    def get_config(self) -> dict:
        return {**super().get_config(), "axis": self.axis, "longest": self.longest, "value": self.value}


@keras.saving.register_keras_serializable("diptych")
class FrequencyShift(_Augmentation):
    """Shifts the bands of `(batch, frames, bands)` by a random integer, uniform in [-farthest, farthest], per example.

    The shift does not wrap around. Bands that leave the range are dropped, and vacated bands become `value`, the log
    floor.
    """

    draws_per_example = 1

    def __init__(self, *, farthest: int, value: float, **kwargs):
        super().__init__(**kwargs)
        if farthest < 0:
            raise ValueError(f"a frequency shift cannot be {farthest} bands: choose 0 or more")
        self.farthest, self.value = farthest, value

    def augment(self, x: Tensor, draws: Tensor) -> Tensor:
        bands = x.shape[-1]
        shift = ops.cast(ops.floor(draws * (2 * self.farthest + 1)), "int32") - self.farthest  # (batch, 1)
        source = ops.arange(bands)[None] - shift  # (batch, bands): the band that moves to each place
        inside = ops.logical_and(source >= 0, source < bands)  # (batch, bands)
        shifted = ops.take_along_axis(x, ops.clip(source, 0, bands - 1)[:, None], axis=-1)  # (batch, frames, bands)
        return ops.where(inside[:, None], shifted, self.value)

    def get_config(self) -> dict:
        return {**super().get_config(), "farthest": self.farthest, "value": self.value}
