"""PANNs' 1-D ResNets on the raw waveform, Res1dNet31 and Res1dNet51 (Kong et al. 2020), up to their global pooling."""

from keras import layers, ops

from models.catalog import scale
from models.encoders.parts import temporal_embedding
from models.layers import Conv1D, normalization
from models.typing import Tensor

CHANNELS = (64, 128, 256, 512, 1024, 1024, 2048)  # per stage
BLOCKS = {"res1dnet31": (2, 2, 2, 2, 2, 2, 2), "res1dnet51": (2, 3, 4, 6, 4, 3, 2)}  # residual blocks in each stage
POOL = 4


def trunk(name: str, waveform: Tensor, *, norm: str, padding: str, width: float, dropout: float) -> Tensor:
    """`(batch, samples) -> (batch, dim)`; see `models.encoders.build`, whose checks have passed."""
    x = ops.expand_dims(waveform, -1)  # (batch, samples, 1)
    x = layers.ZeroPadding1D(5)(x)  # not Keras' "same", which would pad 3 on each side
    x = Conv1D(scale(64, width), 11, strides=5, name="conv0")(x)
    x = normalization(norm, name="bn0")(x)  # no ReLU here
    for stage, (channels, count) in enumerate(zip(CHANNELS, BLOCKS[name], strict=True), start=1):
        for i in range(count):
            x = _residual_block(
                x,
                scale(channels, width),
                shrunk=stage > 1 and i == 0,
                norm=norm,
                padding=padding,
                dropout=dropout / 2,
                name=f"resnet.layer{stage}.{i}",
            )
    return temporal_embedding(x)


def _residual_block(
    x: Tensor, channels: int, *, shrunk: bool, norm: str, padding: str, dropout: float, name: str
) -> Tensor:
    """Two convolutions, the second dilated, with a shortcut; max pooling before them, average pooling before it."""
    y = layers.MaxPooling1D(POOL, padding=padding)(x) if shrunk else x
    y = Conv1D(channels, 3, padding="same", name=f"{name}.conv1")(y)
    y = ops.relu(normalization(norm, name=f"{name}.bn1")(y))
    y = layers.Dropout(dropout)(y)
    y = Conv1D(channels, 3, padding="same", dilation_rate=2, name=f"{name}.conv2")(y)
    y = normalization(norm, gamma="zeros", name=f"{name}.bn2")(y)
    if shrunk:
        x = layers.AveragePooling1D(POOL, padding=padding)(x)
        x = Conv1D(channels, 1, name=f"{name}.downsample.1")(x)
        x = normalization(norm, name=f"{name}.downsample.2")(x)
    return ops.relu(x + y)
