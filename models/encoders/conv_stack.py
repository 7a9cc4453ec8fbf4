"""Conv160 ... Conv2560: strided 1-D convolutions over the raw waveform (paper, section 2.1).

The paper gives kernel sizes, strides and the number of filters; that there is no bias, no padding and one group
is the reading best supported by wav2vec's code, which the paper cites for this building block.
"""

import keras
from keras import ops

from models.catalog import scale
from models.layers import HalfOverlapConv1D, normalization

FILTERS = 512
FIRST_STRIDE = 5
# Network -> layers of kernel 4 and stride 2 after the first of kernel 10 and stride 5.
STRIDED_LAYERS = {"conv160": 5, "conv320": 6, "conv640": 7, "conv1280": 8, "conv2560": 9}


def build(name: str, *, norm: str, padding: str, width: float) -> keras.Model:
    """Builds a network; see `models.encoders.build`, whose checks have passed."""
    filters = scale(FILTERS, width)
    inputs = keras.Input((None,), name="waveform")
    x = ops.expand_dims(inputs, -1)  # (batch, samples, 1)
    for i in range(STRIDED_LAYERS[name] + 1):
        strides = FIRST_STRIDE if i == 0 else 2
        x = HalfOverlapConv1D(filters, strides=strides, padding=padding, name=f"conv{i}")(x)
        x = normalization(norm, name=f"norm{i}")(x)
        x = ops.relu(x)
    return keras.Model(inputs, ops.mean(x, axis=1), name=name)
