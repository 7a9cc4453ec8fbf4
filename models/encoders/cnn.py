"""PANNs' plain 2-D networks CNN6, CNN10 and CNN14 (Kong et al. 2020) up to their global pooling."""

import dataclasses

from keras import layers

from models.catalog import find_encoder, scale_channels
from models.dropout import Dropout
from models.encoders.parts import convolution_block, normalized_bands, spectral_embedding
from models.typing import Tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Network:
    kernel: int
    convolutions: int  # in each block
    pooled_blocks: int  # the number of blocks that are followed by pooling


NETWORKS = {
    "cnn6": _Network(kernel=5, convolutions=1, pooled_blocks=4),
    "cnn10": _Network(kernel=3, convolutions=2, pooled_blocks=4),
    "cnn14": _Network(kernel=3, convolutions=2, pooled_blocks=5),
}


def trunk(name: str, spectrum: Tensor, *, norm: str, padding: str, width: float, dropout: float) -> Tensor:
    """Maps `(batch, frames, bands)` to `(batch, dim)`. `models.encoders.build` checks the arguments."""
    network = NETWORKS[name]
    x = normalized_bands(spectrum, norm=norm)  # (batch, frames, bands, 1)
    for block, channels in enumerate(find_encoder(name).channels, start=1):
        x = convolution_block(
            x,
            scale_channels(channels, width),
            kernel=network.kernel,
            convolutions=network.convolutions,
            norm=norm,
            name=f"conv_block{block}",
        )  # (batch, frames, bands, channels)
        if block <= network.pooled_blocks:
            x = layers.AveragePooling2D(2, padding=padding)(x)  # (batch, frames / 2, bands / 2, channels)
        x = Dropout(dropout)(x)
    return spectral_embedding(x)  # (batch, dim)
