"""Checks that the formats, the encoders, their norms and the crop length of a `ModelConfig` fit together.

This module does not import Keras, so that a command can check a config without the seconds that Keras takes to load.
"""

import math
from collections.abc import Mapping

from models import norms
from models.catalog import ENCODERS, find_encoder, scale_channels
from models.config import ModelConfig
from models.formats import FORMATS, filter_scale, frame_size


def embedding_dim(config: ModelConfig) -> int:
    """Returns the size of an embedding, which is the same for both branches.

    Raises:
        ValueError: A format does not exist, an encoder cannot read its format, or the sizes of the two encoders differ:
            both branches share one projector (paper, section 2.1).
    """
    formats = config.format_names
    if len(formats) != 2 or not set(formats) <= set(FORMATS):
        raise ValueError(f"formats {config.formats!r}: choose two of {', '.join(FORMATS)}, e.g. 'waveform+log_mel'")
    dims = {}
    for format_name in dict.fromkeys(formats):
        name = config.encoders.for_format(format_name)
        _check_encoder_reads(name, format_name)
        dims[format_name] = scale_channels(find_encoder(name).dim, config.width_for(format_name))
    if len(set(dims.values())) > 1:
        sizes = " and ".join(f"{config.encoders.for_format(name)} gives {dim}" for name, dim in dims.items())
        raise ValueError(
            f"the two encoders must give embeddings of the same size, because they share the projector, but {sizes}: "
            f"choose encoders of the same size, or {_equal_width(config, dims)}"
        )
    return next(iter(dims.values()))


def _equal_width(config: ModelConfig, dims: Mapping[str, int]) -> str:
    """Returns the setting that gives one of two embeddings the size of the other.

    It is that of the format that alone has a width of its own, as that was set for another encoder; else that of the
    larger embedding.
    """
    own = [name for name in dims if getattr(config.widths, name) is not None]
    changed = own[0] if len(own) == 1 else max(dims, key=dims.get)
    other = next(name for name in dims if name != changed)
    width = dims[other] / find_encoder(config.encoders.for_format(changed)).dim
    return f"widths.{changed}={width:g}"


def _check_encoder_reads(name: str, format_name: str) -> None:
    needs_waveform = format_name == "waveform"
    if find_encoder(name).waveform != needs_waveform:
        reads = "spectra" if needs_waveform else "waveforms"
        fitting = ", ".join(key for key, encoder in ENCODERS.items() if encoder.waveform == needs_waveform)
        raise ValueError(
            f"encoder {name!r} reads {reads}, so it cannot serve the format {format_name!r}: choose one of {fitting}"
        )


def check_norms(config: ModelConfig) -> None:
    """Checks that the normalization of each encoder fits its channels. `embedding_dim` must accept the config.

    Raises:
        ValueError: Channels cannot be split into groups, or the width leaves none.
    """
    for format_name in dict.fromkeys(config.format_names):
        encoder, width = find_encoder(config.encoders.for_format(format_name)), config.width_for(format_name)
        groups = norms.groups(config.norm or encoder.norm_at(width))
        for channels in encoder.channels:
            norms.check_groups(scale_channels(channels, width), groups=groups or 1)


def check_inputs(config: ModelConfig) -> None:
    """Checks that the input of each encoder is large enough. `embedding_dim` must accept the config.

    Raises:
        ValueError: A crop is too short, there are too few or too many bands, or the front end does not fit the sample
            rate. The message names a value that fits.
    """
    for format_name in dict.fromkeys(config.format_names):
        name = config.encoders.for_format(format_name)
        shortest = find_encoder(name).shortest(config.padding)
        if format_name != "waveform":
            config.front_end.check(sample_rate=config.sample_rate)
            bands = frame_size(format_name, n_mels=config.n_mels, n_mfcc=config.n_mfcc)
            if bands < shortest:
                raise ValueError(
                    f"{bands} bands of {format_name} are too few for {name} with padding 'valid': choose at least "
                    f"{shortest}, or padding 'same'"
                )
            _check_filters(config, format_name)
            shortest = config.front_end.shortest(shortest, sample_rate=config.sample_rate)
        if round(config.crop_seconds * config.sample_rate) < shortest:
            enough = math.ceil(1e4 * shortest / config.sample_rate) / 1e4
            raise ValueError(
                f"a crop of {config.crop_seconds:g} s is too short for {name} on {format_name}: choose at least "
                f"{enough:g} s"
            )


def _check_filters(config: ModelConfig, format_name: str) -> None:
    """Checks that each filter of a spectral format contains a frequency."""
    # Imported here because NumPy takes a while to load, and commands that check no model do without it.
    from models import filters

    options = config.front_end
    filters.check_bands(
        filter_scale(format_name, mel_scale=options.mel_scale),
        bands=config.n_mels,
        fft_length=options.fft_length,
        sample_rate=config.sample_rate,
        low_hz=options.low_hz,
        high_hz=options.high_hz,
    )
