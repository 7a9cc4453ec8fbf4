"""What is known of formats and encoders without building any: names, sizes, what fits with what.

Nothing here imports Keras, so a config can be refused before the second it takes to load it.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from models.formats import FORMATS, SPECTRA, FrontEndOptions, frame_size

PADDINGS = ("same", "valid")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoder:
    """An encoder's interface.

    Attributes:
        dim: Size of its output at width 1 (paper, section 2.1).
        waveform: Whether it reads waveforms; the others read spectra.
        shortest_valid: Samples (frames, for spectra) without which it has no output when padding is `"valid"`; with
            `"same"` one is enough.
        norm: The normalisation it has by default, see `models.layers.normalization`.
        padding: The padding it has by default, see `models.encoders.build`.
    """

    dim: int
    waveform: bool = False
    shortest_valid: int
    norm: str
    padding: str

    def shortest(self, padding: str | None = None) -> int:
        """Samples (frames, for spectra) without which it has no output.

        Args:
            padding: `"same"` or `"valid"`; None is the encoder's default.
        """
        return self.shortest_valid if (padding or self.padding) == "valid" else 1


def _spectral(*, dim: int, halvings: int) -> Encoder:
    """A 2-D network that pools 2 x 2 so many times."""
    return Encoder(dim=dim, shortest_valid=2**halvings, norm="batch", padding="same")


def _conv_stack(strided_layers: int) -> Encoder:
    """A first layer of kernel 10 and stride 5 and then layers of kernel 4 and stride 2."""
    frames = 1
    for _ in range(strided_layers):
        frames = 2 * (frames - 1) + 4
    return Encoder(dim=512, waveform=True, shortest_valid=5 * (frames - 1) + 10, norm="group:1", padding="valid")


# A first layer of kernel 11, stride 5 and 5 zeros on each side, and then six poolings of 4.
_RES1DNET = Encoder(dim=2048, waveform=True, shortest_valid=5 * (4**6 - 1) + 1, norm="group:32", padding="same")

ENCODERS: Mapping[str, Encoder] = {
    "cnn6": _spectral(dim=512, halvings=4),
    "cnn10": _spectral(dim=512, halvings=4),
    "cnn14": _spectral(dim=2048, halvings=5),
    "resnet22": _spectral(dim=2048, halvings=5),
    "resnet38": _spectral(dim=2048, halvings=5),
    "resnet54": _spectral(dim=2048, halvings=5),
    "res1dnet31": _RES1DNET,
    "res1dnet51": _RES1DNET,
    "conv160": _conv_stack(5),
    "conv320": _conv_stack(6),
    "conv640": _conv_stack(7),
    "conv1280": _conv_stack(8),
    "conv2560": _conv_stack(9),
}

# The paper's two pairs (section 3); the same 2-D network reads every spectral format.
PAIRS: Mapping[str, Mapping[str, str]] = {
    "small": {"waveform": "conv320", **dict.fromkeys(SPECTRA, "cnn10")},
    "base": {"waveform": "res1dnet31", **dict.fromkeys(SPECTRA, "cnn14")},
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


def pair(encoders: Mapping[str, str] | str) -> Mapping[str, str]:
    """Format -> encoder name, of a pair's name or of such a mapping, which stays as it is.

    Raises:
        ValueError: if there is no pair of that name, with those there are.
    """
    if isinstance(encoders, str):
        if encoders not in PAIRS:
            raise ValueError(f"unknown pair of encoders {encoders!r}: the pairs are {', '.join(PAIRS)}")
        return PAIRS[encoders]
    return encoders


def embedding_names(formats: Sequence[str], *, share_encoder: bool = True) -> tuple[str, ...]:
    """The name of each branch's embedding: its format, with `_a` or `_b` where each branch embeds the same format."""
    if share_encoder or len(set(formats)) > 1:
        return tuple(formats)
    return tuple(f"{name}_{branch}" for name, branch in zip(formats, "ab", strict=True))


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


def check_inputs(
    *,
    formats: Sequence[str],
    encoders: Mapping[str, str],
    seconds: float,
    sample_rate: int,
    n_mels: int = 80,
    n_mfcc: int = 13,
    padding: str | None = None,
    front_end: FrontEndOptions | None = None,
) -> None:
    """Refuses crops from which a branch has nothing to embed.

    Args:
        formats: The formats of the two branches.
        encoders: Format -> encoder name.
        seconds: Length of the crops.
        sample_rate: In Hz.
        n_mels: Bands of the spectrogram and of the log-mel spectrogram.
        n_mfcc: Coefficients of the MFCCs.
        padding: Of the encoders, None for their own.
        front_end: How spectra are made, None for the defaults.

    Raises:
        ValueError: naming the shortest crop, the fewest bands, or the option of the front end that does not fit.
    """
    options = front_end or FrontEndOptions()
    for name in dict.fromkeys(formats):
        shortest = find_encoder(encoders[name]).shortest(padding)
        if name != "waveform":
            options.check(sample_rate=sample_rate)
            size = frame_size(name, n_mels=n_mels, n_mfcc=n_mfcc)
            if size < shortest:
                raise ValueError(
                    f"{size} bands of {name} are too few for {encoders[name]} with padding 'valid': choose at least "
                    f"{shortest}, or padding 'same'"
                )
            shortest = options.shortest(shortest, sample_rate=sample_rate)
        if round(seconds * sample_rate) < shortest:
            enough = math.ceil(1e4 * shortest / sample_rate) / 1e4
            raise ValueError(
                f"a crop of {seconds:g} s is too short for {encoders[name]} on {name}: choose at least {enough:g} s"
            )
