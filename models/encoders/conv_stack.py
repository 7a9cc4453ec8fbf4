"""Conv160 ... Conv2560: strided 1-D convolutions over the raw waveform (paper, section 2.1).

The paper gives kernel sizes, strides and the number of filters. The rest (no bias, no padding, one normalization group)
follows the code of wav2vec, which the paper cites for this building block.
"""

from keras import ops

from models.catalog import FIRST_STRIDE, STRIDED_LAYERS, find_encoder, scale_channels
from models.layers import Conv1D, normalization
from models.typing import Tensor


def trunk(name: str, waveform: Tensor, *, norm: str, padding: str, width: float, dropout: float) -> Tensor:
    """Maps `(batch, samples)` to `(batch, dim)`. `models.encoders.build` checks the arguments."""
    del dropout  # This family has no dropout.
    filters = scale_channels(find_encoder(name).dim, width)
    x = ops.expand_dims(waveform, -1)  # (batch, samples, 1)
    for i in range(STRIDED_LAYERS[name] + 1):
        strides = FIRST_STRIDE if i == 0 else 2
        x = Conv1D(filters, 2 * strides, strides=strides, padding=padding, name=f"conv{i}")(x)
        x = ops.relu(normalization(norm, name=f"norm{i}")(x))  # (batch, frames, filters)
    return ops.mean(x, axis=1)  # (batch, dim)
