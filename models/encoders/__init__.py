"""The encoders of the paper by name: 2-D networks for spectra, 1-D networks for the raw waveform."""

import keras

from models import catalog
from models.encoders import cnn, conv_stack


def build(
    name: str,
    *,
    n_mels: int = 80,
    norm: str | None = None,
    padding: str | None = None,
    width: float = 1.0,
    dropout: float = cnn.DROPOUT,
) -> keras.Model:
    """Builds one of the paper's encoders (section 2.1), without the two linear layers of a classifier.

    Args:
        name: One of `models.catalog.ENCODERS`. `cnn6`, `cnn10`, `cnn14` (PANNs) take `(batch, frames, n_mels)` float32
            log-mel; `conv160` ... `conv2560` take `(batch, samples)` float32 waveforms.
        n_mels: Bands of the spectral input; unused by the waveform networks.
        norm: `"batch"` or `"group:G"`; None is the family's own, `"batch"` for the 2-D networks (PANNs) and
            `"group:1"` for the convolution stacks (wav2vec).
        padding: `"same"` or `"valid"`. Of the pooling in 2-D networks (None: `"same"`, which a 1-s crop of the
            base model needs; `"valid"` is PANNs'), of the convolutions in the stacks (None: `"valid"`).
        width: Multiplies every channel count.
        dropout: Rate after each block of a 2-D network (PANNs: 0.2); the stacks have none.

    Returns:
        A model with output `(batch, dim)`, dim 512 or 2048 times `width`.

    Raises:
        ValueError: on an unknown name, norm or padding, or a width that leaves no channel.
    """
    encoder = catalog.find_encoder(name)
    if padding not in (None, "same", "valid"):
        raise ValueError(f"unknown padding {padding!r}: it is 'same' or 'valid'")
    if encoder.waveform:
        return conv_stack.build(name, norm=norm or "group:1", padding=padding or "valid", width=width)
    return cnn.build(name, n_mels=n_mels, norm=norm or "batch", padding=padding or "same", width=width, dropout=dropout)
