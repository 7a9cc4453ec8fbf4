import re
import subprocess
import sys

import numpy as np
import pytest

from models import catalog, dual
from models.formats import FORMATS, FrontEndOptions

SPECTRA_OF_PANNS = {"window_seconds": 0.032, "centre": True}


def test_it_is_loaded_without_keras():
    program = "import sys, models.catalog; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("front_end", [{}, SPECTRA_OF_PANNS], ids=["ours", "centred"])
@pytest.mark.parametrize("name", FORMATS)
def test_the_shortest_crop_it_names_is_the_shortest_that_can_be_embedded(name, front_end):
    options = {"formats": (name, name), "padding": "valid", "n_mfcc": 20}
    encoders = {"waveform": "conv320", name: "conv320" if name == "waveform" else "cnn10"}

    def check(seconds):
        parsed = FrontEndOptions.of(front_end)
        catalog.check_inputs(**options, encoders=encoders, front_end=parsed, seconds=seconds, sample_rate=16000)

    with pytest.raises(ValueError, match="choose at least") as refused:
        check(0.01)
    shortest = float(re.search(r"at least ([\d.]+) s", str(refused.value))[1])
    check(shortest)
    model = dual.DualEncoder(**options, encoders=encoders, front_end=front_end, crop_seconds=shortest, width=1 / 64)
    audio = np.ones((1, model.crop_samples), "float32")
    assert np.isfinite(model.embed(audio)[name]).all()
    with pytest.raises(ValueError, match="at least"):
        check(shortest - 1 / 16000)
    with pytest.raises(ValueError, match="at least"):
        model.embed(audio[:, :-1])


def test_padding_same_takes_whatever_holds_a_frame():
    encoders = catalog.pair("base")
    catalog.check_inputs(
        formats=("waveform", "mfcc"), encoders=encoders, padding="same", seconds=0.02, sample_rate=16000
    )
    with pytest.raises(ValueError, match="0.019 s is too short for cnn14 on mfcc: choose at least 0.02 s"):
        catalog.check_inputs(
            formats=("waveform", "mfcc"), encoders=encoders, padding="same", seconds=0.019, sample_rate=16000
        )


@pytest.mark.parametrize("pair", catalog.PAIRS)
@pytest.mark.parametrize("a", FORMATS)
@pytest.mark.parametrize("b", FORMATS)
def test_the_pairs_fit_any_two_formats_and_crops_of_a_second(pair, a, b):
    encoders = catalog.pair(pair)
    assert catalog.common_dim(formats=(a, b), encoders=encoders, width=1.0) == {"small": 512, "base": 2048}[pair]
    catalog.check_inputs(formats=(a, b), encoders=encoders, seconds=1.0, sample_rate=16000)


@pytest.mark.parametrize(
    ("formats", "share_encoder", "names"),
    [
        (("waveform", "log_mel"), True, ("waveform", "log_mel")),
        (("waveform", "log_mel"), False, ("waveform", "log_mel")),
        (("mfcc", "mfcc"), True, ("mfcc", "mfcc")),
        (("mfcc", "mfcc"), False, ("mfcc_a", "mfcc_b")),
    ],
)
def test_embedding_names(formats, share_encoder, names):
    assert catalog.embedding_names(formats, share_encoder=share_encoder) == names
