"""PANNs' plain 2-D networks CNN6, CNN10 and CNN14 (Kong et al. 2020) up to their global pooling."""

import keras
from keras import layers, ops

from models.catalog import scale
from models.layers import normalization

# Per network: kernel size, convolutions in a block, channels of each block, and the blocks followed by pooling.
BLOCKS = {
    "cnn6": (5, 1, (64, 128, 256, 512), 4),
    "cnn10": (3, 2, (64, 128, 256, 512), 4),
    "cnn14": (3, 2, (64, 128, 256, 512, 1024, 2048), 5),
}
DROPOUT = 0.2


def build(name: str, *, n_mels: int, norm: str, padding: str, width: float, dropout: float) -> keras.Model:
    """Builds a network; see `models.encoders.build`, whose checks have passed."""
    kernel, convolutions, channels, pooled = BLOCKS[name]
    inputs = keras.Input((None, n_mels), name="spectrum")
    x = ops.expand_dims(inputs, -1)  # (batch, frames, bands, 1)
    x = normalization("batch", axis=2, name="bn0")(x)  # a statistic per band
    for block, filters in enumerate(channels, start=1):
        for i in range(1, convolutions + 1):
            x = _convolution(scale(filters, width), kernel, name=f"block{block}_conv{i}")(x)
            x = normalization(norm, name=f"block{block}_norm{i}")(x)
            x = ops.relu(x)
        if block <= pooled:
            x = layers.AveragePooling2D(2, padding=padding, name=f"block{block}_pool")(x)
        x = layers.Dropout(dropout, name=f"block{block}_dropout")(x)
    x = ops.mean(x, axis=2)  # over bands: (batch, frames, channels)
    return keras.Model(inputs, ops.max(x, axis=1) + ops.mean(x, axis=1), name=name)


def _convolution(filters: int, kernel: int, *, name: str) -> layers.Layer:
    return layers.Conv2D(filters, kernel, padding="same", use_bias=False, name=name)
