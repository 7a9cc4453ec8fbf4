import re

import numpy as np
import pytest

from models import catalog, compatibility, dual, layers
from models.config import AugmentConfig, ModelConfig
from models.formats import FORMATS

CENTERED = {"window_seconds": 0.032, "centre": True}


def _config(**fields):
    return ModelConfig.model_validate({"augment_a": AugmentConfig(), "augment_b": AugmentConfig(), **fields})


@pytest.mark.parametrize("front_end", [{}, CENTERED], ids=["default", "centered"])
@pytest.mark.parametrize("name", FORMATS)
def test_the_suggested_crop_is_the_shortest_that_can_be_embedded(name, front_end):
    def config(seconds):
        return _config(
            formats=f"{name}+{name}",
            padding="valid",
            n_mfcc=20,
            encoders={"waveform": "conv320", name: "conv320" if name == "waveform" else "cnn10"},
            front_end=front_end,
            crop_seconds=seconds,
            width=1 / 64,
        )

    with pytest.raises(ValueError, match="choose at least") as error:
        compatibility.check_inputs(config(0.01))
    shortest = float(re.search(r"at least ([\d.]+) s", str(error.value))[1])
    compatibility.check_inputs(config(shortest))
    model = dual.DualEncoder(config(shortest))
    audio = np.ones((1, model.crop_samples), "float32")
    assert np.isfinite(model.embed(audio)[name]).all()
    with pytest.raises(ValueError, match="at least"):
        compatibility.check_inputs(config(shortest - 1 / 16000))
    with pytest.raises(ValueError, match="at least"):
        model.embed(audio[:, :-1])


def test_padding_same_needs_a_single_frame():
    fields = {"formats": "waveform+mfcc", "encoders": catalog.pair("base"), "padding": "same"}
    compatibility.check_inputs(_config(**fields, crop_seconds=0.02))
    with pytest.raises(ValueError, match="0.019 s is too short for cnn14 on mfcc: choose at least 0.02 s"):
        compatibility.check_inputs(_config(**fields, crop_seconds=0.019))


@pytest.mark.parametrize("pair", catalog.PAIRS)
@pytest.mark.parametrize("a", FORMATS)
@pytest.mark.parametrize("b", FORMATS)
def test_the_pairs_of_encoders_fit_any_two_formats_and_crops_of_a_second(pair, a, b):
    config = _config(formats=f"{a}+{b}", encoders=catalog.pair(pair), crop_seconds=1.0)
    assert compatibility.embedding_dim(config) == {"small": 512, "base": 2048}[pair]
    compatibility.check_inputs(config)


@pytest.mark.parametrize(
    ("encoders", "widths", "hint"),
    [
        ({"waveform": "res1dnet31", "log_mel": "cnn10"}, {}, "widths.waveform=0.03125"),
        ({"waveform": "conv320", "log_mel": "cnn14"}, {}, "widths.log_mel=0.03125"),
        ({"waveform": "conv320", "log_mel": "cnn10"}, {"log_mel": 0.5}, "widths.log_mel=0.125"),
        ({"waveform": "conv320", "log_mel": "cnn10"}, {"waveform": 1 / 32}, "widths.waveform=0.125"),
        ({"waveform": "conv320", "log_mel": "cnn10"}, {"waveform": 1 / 8, "log_mel": 0.5}, "widths.log_mel=0.125"),
    ],
)
def test_encoders_of_two_sizes_are_refused_with_a_width_that_makes_them_equal(encoders, widths, hint):
    config = _config(encoders=encoders, widths=widths, width=0.125)
    with pytest.raises(ValueError, match="same size") as error:
        compatibility.embedding_dim(config)
    assert str(error.value).endswith(f"or {hint}")
    name, width = hint.removeprefix("widths.").split("=")
    mended = _config(encoders=encoders, widths={**widths, name: float(width)}, width=0.125)
    assert compatibility.embedding_dim(mended) == 64


@pytest.mark.parametrize("width", [0.1, 0.7, 1.0, 1 / 32])
@pytest.mark.parametrize("norm", [None, "batch", "group:1", "group:7", "group:32"])
@pytest.mark.parametrize("name", ["conv160", "res1dnet31", "cnn6", "resnet22"])
def test_norms_are_refused_as_the_encoder_refuses_them(name, norm, width):
    """The layers that the encoder has are built one by one, which takes no time."""
    encoder = catalog.find_encoder(name)
    format_name = "waveform" if encoder.waveform else "log_mel"
    config = _config(formats=f"{format_name}+{format_name}", encoders={format_name: name}, norm=norm, width=width)
    problem = None
    try:
        for channels in encoder.channels:
            scaled = catalog.scale_channels(channels, width)
            layers.normalization(norm or encoder.norm_at(width), name="norm").build((None, 9, scaled))
    except ValueError as error:
        problem = str(error)
    if problem is None:
        compatibility.check_norms(config)
        return
    assert "cannot split" in problem
    with pytest.raises(ValueError, match=re.escape(problem)):
        compatibility.check_norms(config)
