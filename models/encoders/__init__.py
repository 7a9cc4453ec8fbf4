"""The encoders of the paper by name: 2-D networks for spectra, 1-D networks for the raw waveform."""

import keras

from models import catalog
from models.encoders import cnn, conv_stack, res1dnet, resnet
from models.encoders.parts import MinimumLength

_TRUNKS = {
    **dict.fromkeys(cnn.BLOCKS, cnn.trunk),
    **dict.fromkeys(resnet.STAGES, resnet.trunk),
    **dict.fromkeys(res1dnet.BLOCKS, res1dnet.trunk),
    **dict.fromkeys(conv_stack.STRIDED_LAYERS, conv_stack.trunk),
}


def build(
    name: str,
    *,
    n_mels: int = 80,
    norm: str | None = None,
    padding: str | None = None,
    width: float = 1.0,
    dropout: float = 0.2,
) -> keras.Model:
    """Builds one of the paper's encoders (section 2.1), without the two linear layers of a classifier.

    Args:
        name: One of `models.catalog.ENCODERS`. CNN6 ... ResNet54 (PANNs) take `(batch, frames, n_mels)` float32
            log-mel; Res1dNet31, Res1dNet51 (PANNs) and Conv160 ... Conv2560 take `(batch, samples)` float32 waveforms.
        n_mels: Bands of the spectral input; unused by the waveform networks.
        norm: `"batch"` or `"group:G"`; None is the family's own: `"batch"` for the 2-D networks, `"group:32"` for the
            Res1dNets (the paper calls group norm important there and gives no number; times `width`, so that a group
            holds as many channels), `"group:1"` for the convolution stacks (wav2vec). Batch norm is synchronised
            across replicas.
        padding: `"same"` or `"valid"`. Of the pooling in PANNs' networks (None: `"same"`, without which the base model
            could not take its crops of 1 s; `"valid"` is PANNs'), of the convolutions in the stacks (None: `"valid"`).
        width: Multiplies every channel count.
        dropout: Rate after each block of a 2-D network (PANNs: 0.2); half of it inside each residual block. The
            convolution stacks have none.

    Returns:
        A model with output `(batch, dim)`, dim 512 or 2048 times `width`. PANNs' networks name each layer as PANNs
        names the module, e.g. `conv_block1.conv1`. An input too short for the encoder raises a ValueError that names
        the shortest one.

    Raises:
        ValueError: on an unknown name, norm or padding, a width that leaves no channel, or too few bands.
    """
    encoder = catalog.find_encoder(name)
    if padding not in (None, *catalog.PADDINGS):
        raise ValueError(f"unknown padding {padding!r}: it is 'same' or 'valid'")
    norm, padding = norm or _default_norm(encoder, width), padding or encoder.padding
    shortest = encoder.shortest(padding)
    if encoder.waveform:
        inputs, unit = keras.Input((None,), name="waveform"), "samples"
    else:
        if n_mels < shortest:
            raise ValueError(f"{name} needs at least {shortest} bands, not {n_mels}: build it with padding='same'")
        inputs, unit = keras.Input((None, n_mels), name="spectrum"), "frames"
    x = MinimumLength(shortest=shortest, encoder=name, unit=unit, name="minimum_length")(inputs)
    outputs = _TRUNKS[name](name, x, norm=norm, padding=padding, width=width, dropout=dropout)
    return keras.Model(inputs, outputs, name=name)


def _default_norm(encoder: catalog.Encoder, width: float) -> str:
    kind, _, groups = encoder.norm.partition(":")
    return f"{kind}:{max(1, round(int(groups) * width))}" if groups else kind
