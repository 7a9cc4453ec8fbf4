"""The encoders by name, with the sizes, formats and defaults that a config depends on.

This module does not import Keras, so that a command can check a config without the seconds that Keras takes to load.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from models import norms
from models.formats import SPECTRA

PADDINGS = ("same", "valid")

PLANES = (64, 128, 256, 512)
"""Channels within the residual blocks of each stage of the 2-D ResNets."""

BOTTLENECK = 4
"""A bottleneck block of ResNet54 has this many times as many output channels as planes."""

FIRST_STRIDE = 5
"""Stride of the first layer of the convolution stacks; its kernel spans two strides."""

STRIDED_LAYERS: Mapping[str, int] = {"conv160": 5, "conv320": 6, "conv640": 7, "conv1280": 8, "conv2560": 9}
"""Convolution stack -> number of layers with kernel 4 and stride 2 after the first."""

MELBANK_HOP = 160
"""Samples from one frame of MelBank's filters to the next."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoder:
    """The properties of an encoder.

    Attributes:
        channels: Channels at width 1 of its convolutions that are normalized, from the first to the last.
        waveform: Whether the encoder reads waveforms. Otherwise it reads spectra.
        shortest_valid: Length of the shortest input with padding `"valid"`, in samples or, for spectra, frames.
        norm: The default normalization, see `models.layers.normalization`.
        padding: The default padding, see `models.encoders.build`.
    """

    channels: tuple[int, ...]
    waveform: bool = False
    shortest_valid: int
    norm: str
    padding: str

    @property
    def dim(self) -> int:
        """Size of the output at width 1."""
        return self.channels[-1]

    def norm_at(self, width: float) -> str:
        """Returns the default normalization at a width, at which groups have as many channels as at width 1."""
        count = norms.groups(self.norm)
        return self.norm if count is None else f"group:{max(1, round(count * width))}"

    def shortest(self, padding: str | None = None) -> int:
        """Returns the length of the shortest input, in samples or, for spectra, frames.

        Args:
            padding: `"same"` or `"valid"`. None for the encoder's default.
        """
        if padding is None:
            padding = self.padding
        return self.shortest_valid if padding == "valid" else 1


def _spectral(*channels: int, halvings: int) -> Encoder:
    """Describes a 2-D network that halves frames and bands `halvings` times."""
    return Encoder(channels=channels, shortest_valid=2**halvings, norm="batch", padding="same")


def _conv_stack(strided_layers: int) -> Encoder:
    """Describes a stack of convolutions, whose kernels span two strides: `FIRST_STRIDE`, then `strided_layers` of 2."""
    frames = 1
    for _ in range(strided_layers):
        frames = 2 * (frames - 1) + 4  # The shortest input that gives this many frames.
    shortest = FIRST_STRIDE * (frames - 1) + 2 * FIRST_STRIDE
    return Encoder(channels=(512,), waveform=True, shortest_valid=shortest, norm="group:1", padding="valid")


# The first layer has kernel 11, stride 5 and 5 zeros on each side. Six poolings of 4 follow.
_RES1DNET = Encoder(
    channels=(64, 128, 256, 512, 1024, 1024, 2048),  # of each stage
    waveform=True,
    shortest_valid=5 * (4**6 - 1) + 1,
    norm="group:32",
    padding="same",
)
_CNN10 = _spectral(64, 128, 256, 512, halvings=4)
_RESNET = _spectral(64, *PLANES, 2048, halvings=5)

ENCODERS: Mapping[str, Encoder] = {
    "cnn6": _spectral(64, 128, 256, 512, halvings=4),
    "cnn10": _CNN10,
    "cnn14": _spectral(64, 128, 256, 512, 1024, 2048, halvings=5),
    "resnet22": _RESNET,
    "resnet38": _RESNET,
    "resnet54": _spectral(64, *PLANES, *(BOTTLENECK * planes for planes in PLANES), 2048, halvings=5),
    "res1dnet31": _RES1DNET,
    "res1dnet51": _RES1DNET,
    **{name: _conv_stack(strided_layers) for name, strided_layers in STRIDED_LAYERS.items()},
    # Not in the paper. CNN10 halves its frames four times.
    "melbank": Encoder(
        channels=_CNN10.channels,
        waveform=True,
        shortest_valid=MELBANK_HOP * (2**4 - 1) + 1,
        norm="batch",
        padding="same",
    ),
}

# The two pairs of the paper (section 3): name -> encoder of each format. All spectral formats use the same network.
PAIRS: Mapping[str, Mapping[str, str]] = {
    "small": {"waveform": "conv320", **dict.fromkeys(SPECTRA, "cnn10")},
    "base": {"waveform": "res1dnet31", **dict.fromkeys(SPECTRA, "cnn14")},
}


def scale_channels(channels: int, width: float) -> int:
    """Returns `channels * width`, rounded.

    Raises:
        ValueError: No channel is left.
    """
    scaled = round(channels * width)
    if scaled < 1:
        raise ValueError(f"width {width:g} leaves none of {channels} channels: choose at least {1 / channels:g}")
    return scaled


def find_encoder(name: str) -> Encoder:
    """Returns the properties of an encoder.

    Raises:
        ValueError: There is no encoder of this name. The message lists the names.
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
