"""What the encoders are made of. Layers bear the names that PANNs gives its modules, so `models.panns` finds them."""

import keras
from keras import layers, ops

from models.layers import normalization
from models.typing import Tensor


@keras.saving.register_keras_serializable("diptych")
class MinimumLength(keras.layers.Layer):
    """Passes on `(batch, length, ...)` and refuses a length from which its encoder has nothing to embed.

    Raises:
        ValueError: when called, naming the encoder and its shortest input.
    """

    def __init__(self, *, shortest: int, encoder: str, unit: str, **kwargs):
        super().__init__(**kwargs)
        self.shortest, self.encoder, self.unit = shortest, encoder, unit

    def call(self, x: Tensor) -> Tensor:
        if x.shape[1] is not None and x.shape[1] < self.shortest:
            raise ValueError(
                f"{self.encoder} needs an input of at least {self.shortest} {self.unit}, not {x.shape[1]}: "
                "give it longer ones, or build it with padding='same'"
            )
        return x

    def compute_output_spec(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return keras.KerasTensor(x.shape, dtype=x.dtype)

    def get_config(self) -> dict:
        return {**super().get_config(), "shortest": self.shortest, "encoder": self.encoder, "unit": self.unit}


def convolution_block(
    x: Tensor, filters: int, *, kernel: int = 3, convolutions: int = 2, norm: str, name: str
) -> Tensor:
    """PANNs' block: convolution -> norm -> ReLU, once or twice, on `(batch, frames, bands, channels)`."""
    for i in range(1, convolutions + 1):
        x = layers.Conv2D(filters, kernel, padding="same", use_bias=False, name=f"{name}.conv{i}")(x)
        x = ops.relu(normalization(norm, name=f"{name}.bn{i}")(x))
    return x


def normalized_bands(spectrum: Tensor, *, norm: str) -> Tensor:
    """bn0: `(batch, frames, bands)` normalised with a gain and an offset per band, and a channel axis behind.

    Batch norm has a mean and a variance per band, too (PANNs). Group norm has one of each per example: bands cannot
    be split into as many groups as channels can, and an example must not depend on its batch.
    """
    norm = norm if norm == "batch" else "group:1"
    return ops.expand_dims(normalization(norm, name="bn0")(spectrum), -1)


def spectral_embedding(x: Tensor) -> Tensor:
    """PANNs' global pooling: `(batch, frames, bands, channels) -> (batch, channels)`, mean of bands, then as below."""
    return temporal_embedding(ops.mean(x, axis=2))


def temporal_embedding(x: Tensor) -> Tensor:
    """`(batch, frames, channels) -> (batch, channels)`: max + mean of time."""
    return ops.max(x, axis=1) + ops.mean(x, axis=1)
