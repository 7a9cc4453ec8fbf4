"""Builds encoders by name: 2-D networks for spectra, 1-D networks for the raw waveform; MelBank is not the paper's."""

import keras

from models import catalog
from models.dropout import number_layers
from models.encoders import cnn, conv_stack, melbank, res1dnet, resnet
from models.encoders.parts import MinimumLength

# Name -> function from the input to the embedding.
_TRUNKS = {
    **dict.fromkeys(cnn.NETWORKS, cnn.trunk),
    **dict.fromkeys(resnet.NETWORKS, resnet.trunk),
    **dict.fromkeys(res1dnet.BLOCKS, res1dnet.trunk),
    **dict.fromkeys(catalog.STRIDED_LAYERS, conv_stack.trunk),
    melbank.NAME: melbank.trunk,
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
    """Builds an encoder, without the two linear layers of a classifier. All but MelBank are the paper's (section 2.1).

    Args:
        name: One of `models.catalog.ENCODERS`. CNN6 ... ResNet54 (PANNs) read `(batch, frames, n_mels)` float32
            spectra. Res1dNet31, Res1dNet51 (PANNs), Conv160 ... Conv2560 and MelBank read `(batch, samples)` float32
            waveforms.
        n_mels: Bands of the spectra. The waveform networks ignore it.
        norm: `"batch"` or `"group:G"`. Batch normalization is synchronized across replicas. None for the default of
            the encoder's family:

            * 2-D networks and MelBank: `"batch"`.
            * Res1dNets: group normalization with 32 groups times `width`, so that the channels per group stay the same.
              The paper finds group normalization important here, but does not give the number of groups.
            * Convolution stacks: `"group:1"`, as in wav2vec.
        padding: `"same"` or `"valid"`. In PANNs' networks, the padding of the pooling: by default `"same"`, because
            with PANNs' own `"valid"` the base model cannot read the paper's crops of 1 s. In the convolution stacks,
            the padding of the convolutions: by default `"valid"`.
        width: Multiplies every channel count.
        dropout: Dropout rate after each block of a 2-D network (PANNs: 0.2). Residual blocks use half the rate. The
            convolution stacks have no dropout.

    Returns:
        A model with output `(batch, dim)`, where dim is 512 or 2048 times `width`. The layers of PANNs' networks have
        the names of PANNs' modules, e.g. `conv_block1.conv1`. The model raises a ValueError if an input is too short.

    Raises:
        ValueError: The name, the norm or the padding is unknown, the width leaves no channel, or there are too few
            bands.
    """
    encoder = catalog.find_encoder(name)
    if padding not in (None, *catalog.PADDINGS):
        raise ValueError(f"unknown padding {padding!r}: it is 'same' or 'valid'")
    if norm is None:
        norm = encoder.norm_at(width)
    if padding is None:
        padding = encoder.padding
    shortest = encoder.shortest(padding)
    if encoder.waveform:
        inputs = keras.Input((None,), name="waveform")
        unit = "samples"
    else:
        if n_mels < shortest:
            raise ValueError(f"{name} needs at least {shortest} bands, not {n_mels}: build it with padding='same'")
        inputs = keras.Input((None, n_mels), name="spectrum")
        unit = "frames"
    x = MinimumLength(shortest=shortest, encoder=name, unit=unit, name="minimum_length")(inputs)
    outputs = _TRUNKS[name](name, x, norm=norm, padding=padding, width=width, dropout=dropout)
    model = keras.Model(inputs, outputs, name=name)
    number_layers(model)
    return model
