"""What is known of formats and encoders without building any: names, sizes, what fits with what.

Nothing here imports Keras, so a config can be refused before the second it takes to load it.
"""

import dataclasses
from collections.abc import Mapping, Sequence

FORMATS = ("waveform", "log_mel")
SMALL: Mapping[str, str] = {"waveform": "conv320", "log_mel": "cnn10"}  # the paper's `small` pair


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoder:
    """An encoder's interface.

    Attributes:
        dim: Size of its output at width 1 (paper, section 2.1).
        waveform: Whether it reads waveforms; the others read spectra.
    """

    dim: int
    waveform: bool


ENCODERS: Mapping[str, Encoder] = {
    "cnn6": Encoder(dim=512, waveform=False),
    "cnn10": Encoder(dim=512, waveform=False),
    "cnn14": Encoder(dim=2048, waveform=False),
    "conv160": Encoder(dim=512, waveform=True),
    "conv320": Encoder(dim=512, waveform=True),
    "conv640": Encoder(dim=512, waveform=True),
    "conv1280": Encoder(dim=512, waveform=True),
    "conv2560": Encoder(dim=512, waveform=True),
}


def scale(channels: int, width: float) -> int:
    """`channels * width`, rounded.

    Raises:
        ValueError: if no channel is left.
    """
    scaled = round(channels * width)
    if scaled < 1:
        raise ValueError(f"width {width:g} leaves none of {channels} channels: choose at least {1 / channels:g}")
    return scaled


def find_encoder(name: str) -> Encoder:
    """The encoder of that name.

    Raises:
        ValueError: if there is none, with the names there are.
    """
    if name not in ENCODERS:
        raise ValueError(f"unknown encoder {name!r}: the encoders are {', '.join(ENCODERS)}")
    return ENCODERS[name]


def common_dim(*, formats: Sequence[str], encoders: Mapping[str, str], width: float) -> int:
    """Size of the embedding that all branches share.

    Args:
        formats: The formats of the two branches.
        encoders: Format -> encoder name.
        width: Multiplies the channel counts.

    Raises:
        ValueError: for a format that does not exist or has no encoder, an encoder that cannot read its format, or
            encoders whose sizes differ: one projector reads both (paper, section 2.1).
    """
    if len(formats) != 2 or not set(formats) <= set(FORMATS):
        raise ValueError(f"formats {'+'.join(formats)!r}: choose two of {', '.join(FORMATS)}, e.g. 'waveform+log_mel'")
    dims = {}
    for name in dict.fromkeys(formats):
        if name not in encoders:
            raise ValueError(f"no encoder is given for the format {name!r}")
        encoder = find_encoder(encoders[name])
        if encoder.waveform != (name == "waveform"):
            reads = "waveforms" if encoder.waveform else "spectra"
            raise ValueError(f"encoder {encoders[name]!r} reads {reads}, so it cannot serve the format {name!r}")
        dims[encoders[name]] = scale(encoder.dim, width)
    if len(set(dims.values())) > 1:
        sizes = " and ".join(f"{name} gives {dim}" for name, dim in dims.items())
        raise ValueError(
            f"the two encoders must give embeddings of one size, which the projector shares, but {sizes}: "
            "choose encoders of the same size"
        )
    return next(iter(dims.values()))
