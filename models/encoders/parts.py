"""Building blocks of the encoders. Layers have the names of PANNs' modules, so that `models.panns` finds them."""

import keras
from keras import layers, ops

from models.layers import normalization
from models.typing import Tensor


@keras.saving.register_keras_serializable("diptych")
class MinimumLength(keras.layers.Layer):
    """Checks that an input, `(batch, length, ...)`, is long enough for the encoder, and returns it unchanged.

    Args:
        shortest: Smallest length.
        encoder: Name of the encoder, for the error message.
        unit: What the length counts: samples or frames.
        **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
        ValueError: When called: the input is too short.
    """

    def __init__(self, *, shortest: int, encoder: str, unit: str, **kwargs):
        super().__init__(**kwargs)
        self.shortest = shortest
        self.encoder = encoder
        self.unit = unit

    def call(self, x: Tensor) -> Tensor:
        if x.shape[1] is not None and x.shape[1] < self.shortest:
            raise ValueError(
                f"{self.encoder} needs an input of at least {self.shortest} {self.unit}, not {x.shape[1]}: "
                "give it longer inputs, or build it with padding='same'"
            )
        return x

    def compute_output_spec(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return keras.KerasTensor(x.shape, dtype=x.dtype)

    def get_config(self) -> dict:
        return {**super().get_config(), "shortest": self.shortest, "encoder": self.encoder, "unit": self.unit}


def convolution_block(
    x: Tensor, filters: int, *, kernel: int = 3, convolutions: int = 2, norm: str, name: str
) -> Tensor:
    """Applies PANNs' convolution block to `(batch, frames, bands, channels)`: convolution, norm, ReLU, repeated."""
    for i in range(1, convolutions + 1):
        x = layers.Conv2D(filters, kernel, padding="same", use_bias=False, name=f"{name}.conv{i}")(x)
        x = ops.relu(normalization(norm, name=f"{name}.bn{i}")(x))
    return x


def normalized_bands(spectrum: Tensor, *, norm: str) -> Tensor:
    """Normalizes the bands of spectra, PANNs' bn0, and adds a channel axis: `(batch, frames, bands, 1)`.

    Each band has a scale and an offset. Batch normalization also has a mean and a variance per band, as in PANNs. If
    the encoder uses group normalization, all bands form one group, because the number of bands need not be divisible
    by the number of groups.
    """
    if norm != "batch":
        norm = "group:1"
    return ops.expand_dims(normalization(norm, name="bn0")(spectrum), -1)


def spectral_embedding(x: Tensor) -> Tensor:
    """Pools `(batch, frames, bands, channels)` to `(batch, channels)` as PANNs do: mean over bands, then over time."""
    return temporal_embedding(ops.mean(x, axis=2))


def temporal_embedding(x: Tensor) -> Tensor:
    """Pools `(batch, frames, channels)` to `(batch, channels)` as PANNs do: maximum over time plus mean over time."""
    return ops.max(x, axis=1) + ops.mean(x, axis=1)
