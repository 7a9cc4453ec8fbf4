"""What is known of formats and encoders without building any: names, sizes, what fits with what.

Nothing here imports Keras, so a config can be refused before the second it takes to load it.
"""

import dataclasses
from collections.abc import Mapping, Sequence

FORMATS = ("waveform", "log_mel")
HOP_SECONDS = 0.010  # of spectral frames, each of two hops (paper, section 3)
LOG_MEL_HIGH_HZ = 7800.0  # upper edge of the mel bands
SMALL: Mapping[str, str] = {"waveform": "conv320", "log_mel": "cnn10"}  # the paper's `small` pair


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoder:
    """An encoder's interface.

    Attributes:
        dim: Size of its output at width 1 (paper, section 2.1).
        waveform: Whether it reads waveforms; the others read spectra.
        shortest: Samples (frames, for spectra) without which it has no output.
    """

    dim: int
    waveform: bool = False
    shortest: int = 1


def _conv_stack(strided_layers: int) -> Encoder:
    """A first layer of kernel 10 and stride 5 and then layers of kernel 4 and stride 2, all without padding."""
    frames = 1
    for _ in range(strided_layers):
        frames = 2 * (frames - 1) + 4
    return Encoder(dim=512, waveform=True, shortest=5 * (frames - 1) + 10)


ENCODERS: Mapping[str, Encoder] = {
    "cnn6": Encoder(dim=512),
    "cnn10": Encoder(dim=512),
    "cnn14": Encoder(dim=2048),
    "conv160": _conv_stack(5),
    "conv320": _conv_stack(6),
    "conv640": _conv_stack(7),
    "conv1280": _conv_stack(8),
    "conv2560": _conv_stack(9),
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
            fitting = ", ".join(key for key, value in ENCODERS.items() if value.waveform != encoder.waveform)
            raise ValueError(
                f"encoder {encoders[name]!r} reads {reads}, so it cannot serve the format {name!r}: "
                f"choose one of {fitting}"
            )
        dims[encoders[name]] = scale(encoder.dim, width)
    if len(set(dims.values())) > 1:
        sizes = " and ".join(f"{name} gives {dim}" for name, dim in dims.items())
        raise ValueError(
            f"the two encoders must give embeddings of one size, which the projector shares, but {sizes}: "
            "choose encoders of the same size"
        )
    return next(iter(dims.values()))


def check_crop(*, formats: Sequence[str], encoders: Mapping[str, str], seconds: float, sample_rate: int) -> None:
    """Refuses crops from which a branch has nothing to embed.

    Args:
        formats: The formats of the two branches.
        encoders: Format -> encoder name.
        seconds: Length of the crops.
        sample_rate: In Hz.

    Raises:
        ValueError: naming the shortest crop, or the lowest sample rate.
    """
    if "log_mel" in formats and sample_rate < 2 * LOG_MEL_HIGH_HZ:
        raise ValueError(
            f"a sample rate of {sample_rate} Hz has no room for log-mel bands up to {LOG_MEL_HIGH_HZ:g} Hz: "
            f"choose at least {2 * LOG_MEL_HIGH_HZ:g}"
        )
    for name in dict.fromkeys(formats):
        shortest = find_encoder(encoders[name]).shortest
        if name != "waveform":
            shortest = (shortest + 1) * round(HOP_SECONDS * sample_rate)
        if round(seconds * sample_rate) < shortest:
            raise ValueError(
                f"a crop of {seconds:g} s is too short for {encoders[name]} on {name}: choose at least "
                f"{shortest / sample_rate:.3g} s"
            )
