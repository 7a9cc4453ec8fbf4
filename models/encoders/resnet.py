"""PANNs' 2-D ResNets (Kong et al. 2020) up to their global pooling.

They differ from the image networks of the same name in two ways. The first block has two 3 x 3 convolutions. The first
block of a stage downsamples by average pooling, not by strides.
"""

import dataclasses

from keras import layers, ops

from models.catalog import BOTTLENECK, PLANES, find_encoder, scale_channels
from models.dropout import Dropout
from models.encoders.parts import convolution_block, normalized_bands, spectral_embedding
from models.layers import normalization
from models.typing import Tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Network:
    blocks: tuple[int, ...]  # the number of residual blocks in each stage
    bottleneck: bool


NETWORKS = {
    "resnet22": _Network(blocks=(2, 2, 2, 2), bottleneck=False),
    "resnet38": _Network(blocks=(3, 4, 6, 3), bottleneck=False),
    "resnet54": _Network(blocks=(3, 4, 6, 3), bottleneck=True),
}


def trunk(name: str, spectrum: Tensor, *, norm: str, padding: str, width: float, dropout: float) -> Tensor:
    """Maps `(batch, frames, bands)` to `(batch, dim)`. `models.encoders.build` checks the arguments."""
    network, channels = NETWORKS[name], find_encoder(name).channels
    x = normalized_bands(spectrum, norm=norm)  # (batch, frames, bands, 1)
    x = convolution_block(x, scale_channels(channels[0], width), norm=norm, name="conv_block1")
    x = Dropout(dropout)(_halve(x, padding))  # (batch, frames / 2, bands / 2, 64)
    for stage, (planes, count) in enumerate(zip(PLANES, network.blocks, strict=True), start=1):
        convolutions = _convolutions(planes, bottleneck=network.bottleneck, width=width)
        for i in range(count):
            downsample = stage > 1 and i == 0
            if downsample:
                x = _halve(x, padding)
            x = _residual_block(
                x,
                convolutions,
                downsample=downsample,
                norm=norm,
                dropout=dropout / 2,
                name=f"resnet.layer{stage}.{i}",
            )  # (batch, frames, bands, channels)
    x = Dropout(dropout)(_halve(x, padding))
    x = convolution_block(x, scale_channels(channels[-1], width), norm=norm, name="conv_block_after1")
    return spectral_embedding(Dropout(dropout)(x))  # (batch, dim)


def _convolutions(planes: int, *, bottleneck: bool, width: float) -> list[tuple[int, int]]:
    """Returns kernel size and channels of each convolution in a residual block."""
    channels = scale_channels(planes, width)
    if bottleneck:
        return [(1, channels), (3, channels), (1, scale_channels(BOTTLENECK * planes, width))]
    return [(3, channels), (3, channels)]


def _residual_block(
    x: Tensor, convolutions: list[tuple[int, int]], *, downsample: bool, norm: str, dropout: float, name: str
) -> Tensor:
    """Applies convolutions of the given kernel sizes and channels, with a shortcut.

    The gamma of the last norm starts at 0, so the block starts as its shortcut. If `downsample` is true, the caller has
    pooled `x`.
    """
    *inner, (last_kernel, out_channels) = convolutions
    y = x
    for i, (kernel, channels) in enumerate(inner, start=1):
        y = layers.Conv2D(channels, kernel, padding="same", use_bias=False, name=f"{name}.conv{i}")(y)
        y = ops.relu(normalization(norm, name=f"{name}.bn{i}")(y))
    last = len(convolutions)
    y = Dropout(dropout)(y)
    y = layers.Conv2D(out_channels, last_kernel, padding="same", use_bias=False, name=f"{name}.conv{last}")(y)
    y = normalization(norm, gamma="zeros", name=f"{name}.bn{last}")(y)
    if downsample or x.shape[-1] != out_channels:
        first = 1 if downsample else 0  # PANNs' pooling is module 0 of the shortcut.
        x = layers.Conv2D(out_channels, 1, use_bias=False, name=f"{name}.downsample.{first}")(x)
        x = normalization(norm, name=f"{name}.downsample.{first + 1}")(x)
    return ops.relu(x + y)


def _halve(x: Tensor, padding: str) -> Tensor:
    return layers.AveragePooling2D(2, padding=padding)(x)
