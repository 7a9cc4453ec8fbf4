"""PANNs' 2-D ResNets (Kong et al. 2020) up to their global pooling.

They differ from the image networks of that name: the stem is a block of two 3 x 3 convolutions, and average pooling
ahead of a stage's first block takes the place of its strides.
"""

from keras import layers, ops

from models.catalog import scale
from models.encoders.parts import convolution_block, normalized_bands, spectral_embedding
from models.layers import normalization
from models.typing import Tensor

PLANES = (64, 128, 256, 512)  # per stage
# Per network: residual blocks in each stage, and whether they are bottlenecks.
STAGES = {
    "resnet22": ((2, 2, 2, 2), False),
    "resnet38": ((3, 4, 6, 3), False),
    "resnet54": ((3, 4, 6, 3), True),
}
BOTTLENECK = 4  # how many times wider than its planes a bottleneck's output is


def trunk(name: str, spectrum: Tensor, *, norm: str, padding: str, width: float, dropout: float) -> Tensor:
    """`(batch, frames, bands) -> (batch, dim)`; see `models.encoders.build`, whose checks have passed."""
    blocks, bottleneck = STAGES[name]
    x = normalized_bands(spectrum, norm=norm)
    x = convolution_block(x, scale(64, width), norm=norm, name="conv_block1")
    x = layers.Dropout(dropout)(_halve(x, padding))
    for stage, (planes, count) in enumerate(zip(PLANES, blocks, strict=True), start=1):
        channels = [scale(planes, width)] * 2
        convolutions = list(zip((3, 3), channels, strict=True))
        if bottleneck:
            convolutions = list(zip((1, 3, 1), [*channels, scale(BOTTLENECK * planes, width)], strict=True))
        for i in range(count):
            halved = stage > 1 and i == 0
            x = _halve(x, padding) if halved else x
            options = {"norm": norm, "dropout": dropout / 2, "name": f"resnet.layer{stage}.{i}"}
            x = _residual_block(x, convolutions, halved=halved, **options)
    x = layers.Dropout(dropout)(_halve(x, padding))
    x = convolution_block(x, scale(2048, width), norm=norm, name="conv_block_after1")
    return spectral_embedding(layers.Dropout(dropout)(x))


def _residual_block(
    x: Tensor, convolutions: list[tuple[int, int]], *, halved: bool, norm: str, dropout: float, name: str
) -> Tensor:
    """Convolutions of the given kernels and channels, with a shortcut; the last norm's gamma starts at 0."""
    y = x
    for i, (kernel, channels) in enumerate(convolutions, start=1):
        last = i == len(convolutions)
        y = layers.Dropout(dropout)(y) if last else y
        y = layers.Conv2D(channels, kernel, padding="same", use_bias=False, name=f"{name}.conv{i}")(y)
        y = normalization(norm, gamma="zeros" if last else "ones", name=f"{name}.bn{i}")(y)
        y = y if last else ops.relu(y)
    if halved or x.shape[-1] != channels:
        first = int(halved)  # PANNs counts the pooling, too
        x = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}.downsample.{first}")(x)
        x = normalization(norm, name=f"{name}.downsample.{first + 1}")(x)
    return ops.relu(x + y)


def _halve(x: Tensor, padding: str) -> Tensor:
    return layers.AveragePooling2D(2, padding=padding)(x)
