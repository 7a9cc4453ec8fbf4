"""PANNs' plain 2-D networks CNN6, CNN10 and CNN14 (Kong et al. 2020) up to their global pooling."""

from keras import layers

from models.catalog import scale
from models.encoders.parts import convolution_block, normalized_bands, spectral_embedding
from models.typing import Tensor

# Per network: kernel size, convolutions in a block, channels of each block, and the blocks followed by pooling.
BLOCKS = {
    "cnn6": (5, 1, (64, 128, 256, 512), 4),
    "cnn10": (3, 2, (64, 128, 256, 512), 4),
    "cnn14": (3, 2, (64, 128, 256, 512, 1024, 2048), 5),
}


def trunk(name: str, spectrum: Tensor, *, norm: str, padding: str, width: float, dropout: float) -> Tensor:
    """`(batch, frames, bands) -> (batch, dim)`; see `models.encoders.build`, whose checks have passed."""
    kernel, convolutions, channels, pooled = BLOCKS[name]
    x = normalized_bands(spectrum, norm=norm)
    for block, filters in enumerate(channels, start=1):
        options = {"kernel": kernel, "convolutions": convolutions, "norm": norm}
        x = convolution_block(x, scale(filters, width), name=f"conv_block{block}", **options)
        if block <= pooled:
            x = layers.AveragePooling2D(2, padding=padding)(x)
        x = layers.Dropout(dropout)(x)
    return spectral_embedding(x)
