"""The encoders by name, with what a config must know of them: sizes, formats, defaults.

This module does not import Keras, so that a command can check a config without the seconds that Keras takes to load.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from models.formats import SPECTRA

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


def pair(name: str) -> Mapping[str, str]:
    """Returns the encoder name of each format in one of `PAIRS`.

    Raises:
        ValueError: There is no pair of this name. The message lists the names.
    """
    if name not in PAIRS:
        raise ValueError(f"unknown pair of encoders {name!r}: the pairs are {', '.join(PAIRS)}")
    return PAIRS[name]


def embedding_names(formats: Sequence[str], *, share_encoder: bool = True) -> tuple[str, ...]:
    """Returns the name of each branch's embedding.

    It is the format of the branch, with the suffix `_a` or `_b` if two encoders embed the same format.
    """
    if share_encoder or len(set(formats)) > 1:
        return tuple(formats)
    return tuple(f"{name}_{branch}" for name, branch in zip(formats, "ab", strict=True))
