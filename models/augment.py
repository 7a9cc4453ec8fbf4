"""Augmentations (paper, section 2.2): per example, on the accelerator, active in training only.

All that is random about an example are a few numbers from [0, 1). Whoever trains hands them in as `draws`, made from
the example's place in the global batch, so that they are the same on any number of replicas or micro-batches; without
them a layer draws its own from a `keras.random.SeedGenerator`.
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
        front_end: The front end of the branch. All augmentations but mixing act on its `FrontEnd.bands`.
        sample_rate: In Hz.
        mixing_group: See `AudioMixing`.
        seed: The seed of the branch; each layer gets a seed of its own. None for random seeds.

    Returns:
        The layers for the waveform and the layers for the bands, each in the order in which they act.

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
        longest = round(config.time_mask_seconds * sample_rate / front_end.hop)
        on_bands.append(Mask(axis=1, longest=longest, value=silence, seed=next(seeds)))
    if config.frequency_mask:
        on_bands.append(Mask(axis=2, longest=config.frequency_mask, value=silence, seed=next(seeds)))
    return on_waveform, on_bands


class _Augmentation(keras.layers.Layer):
    """Base: `augment(x, draws)` in training, the identity otherwise. Always float32, which every index and draw fits.

    Attributes:
        draws_each: How many random numbers an example takes.
    """

    draws_each: int

    def __init__(self, *, seed: int | None = None, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.seed = seed
        self.random = keras.random.SeedGenerator(seed)

    def call(self, x: Tensor, draws: Tensor | None = None, training: bool = False) -> Tensor:
        """Augments `x` in training.

        Args:
            x: `(batch, ...)`.
            draws: `(batch, draws_each)` float32 in [0, 1); None to draw them here.
            training: Whether to augment.
        """
        if not training:
            return x
        if draws is None:
            draws = keras.random.uniform((ops.shape(x)[0], self.draws_each), dtype="float32", seed=self.random)
        return self.augment(x, draws)

    def compute_output_shape(self, input_shape: Shape, draws_shape: Shape | None = None) -> Shape:
        del draws_shape
        return input_shape

    def get_config(self) -> dict:
        return {"name": self.name, "seed": self.seed}


@keras.saving.register_keras_serializable("diptych")
class AudioMixing(_Augmentation):
    """Adds another clip as noise: `alpha x1 + (1 - alpha) x2`, alpha ~ Beta(5, 2) (eq. 2). `(batch, samples)`.

    The partner is another example of the same mixing group, `group` consecutive examples of the batch (the last
    group may be smaller), so that the draw does not depend on how a batch is split among replicas. A group of one
    example stays as it is.
    """

    draws_each = 7

    def __init__(self, *, group: int = 32, **kwargs):
        super().__init__(**kwargs)
        if group < 2:
            raise ValueError(f"a mixing group needs at least 2 examples, not {group}")
        self.group = group

    def augment(self, x: Tensor, draws: Tensor) -> Tensor:
        batch = ops.shape(x)[0]
        index = ops.arange(batch)
        start = index // self.group * self.group
        size = ops.minimum(start + self.group, batch) - start
        others = ops.cast(ops.maximum(size - 1, 1), "float32")
        offset = 1 + ops.cast(ops.floor(draws[:, 0] * others), "int32")
        partner = start + (index - start + ops.minimum(offset, size - 1)) % size
        # Beta(5, 2) is how the fifth smallest of six uniforms is spread. XLA cannot compile `keras.random.beta`.
        share = ops.sort(draws[:, 1:], axis=1)[:, 4:5]
        return share * x + (1.0 - share) * ops.take(x, partner, axis=0)

    def get_config(self) -> dict:
        return {**super().get_config(), "group": self.group}


@keras.saving.register_keras_serializable("diptych")
class Mask(_Augmentation):
    """Drops one block of up to `longest` consecutive entries along `axis` per example: time or frequency masking.

    The length is uniform in [0, longest], the place uniform among those that fit. Dropped entries become `value`:
    0 in a waveform, the log floor in a spectrum (`FrontEnd.silence`).
    """

    draws_each = 2

    def __init__(self, *, axis: int, longest: int, value: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        if longest < 0:
            raise ValueError(f"a mask cannot be {longest} long: choose 0 or more")
        self.axis, self.longest, self.value = axis, longest, value

    def augment(self, x: Tensor, draws: Tensor) -> Tensor:
        batch, size = ops.shape(x)[0], ops.shape(x)[self.axis]
        longest = ops.cast(ops.minimum(self.longest, size), "float32")
        length = ops.floor(draws[:, :1] * (longest + 1.0))
        space = ops.cast(size, "float32") - length
        start = ops.floor(draws[:, 1:] * (space + 1.0))
        place = ops.cast(ops.arange(size), "float32")[None]
        dropped = ops.logical_and(place >= start, place < start + length)  # (batch, size)
        shape = [1] * len(x.shape)
        shape[0], shape[self.axis] = batch, size
        return ops.where(ops.reshape(dropped, shape), self.value, x)

    def get_config(self) -> dict:
        return {**super().get_config(), "axis": self.axis, "longest": self.longest, "value": self.value}


@keras.saving.register_keras_serializable("diptych")
class FrequencyShift(_Augmentation):
    """Shifts the bands of `(batch, frames, bands)` by an integer uniform in [-farthest, farthest] per example.

    Truncated, not wrapped: bands shifted out are lost and vacated ones become `value`, the log floor (zero energy).
    """

    draws_each = 1

    def __init__(self, *, farthest: int, value: float, **kwargs):
        super().__init__(**kwargs)
        if farthest < 0:
            raise ValueError(f"a frequency shift cannot be {farthest} bands: choose 0 or more")
        self.farthest, self.value = farthest, value

    def augment(self, x: Tensor, draws: Tensor) -> Tensor:
        bands = x.shape[-1]
        shift = ops.cast(ops.floor(draws * (2 * self.farthest + 1)), "int32") - self.farthest
        source = ops.arange(bands)[None] - shift  # (batch, bands): where each band comes from
        inside = ops.logical_and(source >= 0, source < bands)
        moved = ops.take_along_axis(x, ops.clip(source, 0, bands - 1)[:, None], axis=-1)
        return ops.where(inside[:, None], moved, self.value)

    def get_config(self) -> dict:
        return {**super().get_config(), "farthest": self.farthest, "value": self.value}
