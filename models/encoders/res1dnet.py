"""PANNs' 1-D ResNets on the raw waveform, Res1dNet31 and Res1dNet51 (Kong et al. 2020), up to their global pooling."""

from keras import layers, ops

from models.catalog import find_encoder, scale_channels
from models.dropout import Dropout
from models.encoders.parts import temporal_embedding
from models.layers import Conv1D, normalization
from models.typing import Tensor

# Network -> number of residual blocks in each stage.
BLOCKS = {"res1dnet31": (2, 2, 2, 2, 2, 2, 2), "res1dnet51": (2, 3, 4, 6, 4, 3, 2)}
POOL = 4


def trunk(name: str, waveform: Tensor, *, norm: str, padding: str, width: float, dropout: float) -> Tensor:
    """Maps `(batch, samples)` to `(batch, dim)`. `models.encoders.build` checks the arguments."""
    stages = find_encoder(name).channels
    x = ops.expand_dims(waveform, -1)  # (batch, samples, 1)
    x = layers.ZeroPadding1D(5)(x)  # Keras' "same" would add 3 zeros on each side, not 5.
    x = Conv1D(scale_channels(stages[0], width), 11, strides=5, name="conv0")(x)  # (batch, samples / 5, 64)
    x = normalization(norm, name="bn0")(x)  # PANNs have no ReLU here.
    for stage, (channels, count) in enumerate(zip(stages, BLOCKS[name], strict=True), start=1):
        for i in range(count):
            x = _residual_block(
                x,
                scale_channels(channels, width),
                downsample=stage > 1 and i == 0,
                norm=norm,
                padding=padding,
                dropout=dropout / 2,
                name=f"resnet.layer{stage}.{i}",
            )  # (batch, frames, channels)
    return temporal_embedding(x)  # (batch, dim)


def _residual_block(
    x: Tensor, channels: int, *, downsample: bool, norm: str, padding: str, dropout: float, name: str
) -> Tensor:
    """Applies two convolutions, of which the second is dilated, with a shortcut to `(batch, frames, channels)`.

    If `downsample` is true, the convolutions follow a max pooling, and the shortcut is an average pooling and a
    convolution.
    """
    y = x
    if downsample:
        y = layers.MaxPooling1D(POOL, padding=padding)(y)
    y = Conv1D(channels, 3, padding="same", name=f"{name}.conv1")(y)
    y = ops.relu(normalization(norm, name=f"{name}.bn1")(y))
    y = Dropout(dropout)(y)
    y = Conv1D(channels, 3, padding="same", dilation_rate=2, name=f"{name}.conv2")(y)
    y = normalization(norm, gamma="zeros", name=f"{name}.bn2")(y)
    if downsample:
        x = layers.AveragePooling1D(POOL, padding=padding)(x)
        x = Conv1D(channels, 1, name=f"{name}.downsample.1")(x)
        x = normalization(norm, name=f"{name}.downsample.2")(x)
    return ops.relu(x + y)
