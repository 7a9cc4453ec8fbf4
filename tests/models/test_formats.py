import pytest

from models import formats


def test_frame_sizes():
    assert [formats.frame_size(name, n_mels=64, n_mfcc=20) for name in formats.SPECTRA] == [64, 64, 20]
    with pytest.raises(ValueError, match="n_mfcc 65 is more than the 64 mel bands.*at most 64"):
        formats.frame_size("mfcc", n_mels=64, n_mfcc=65)
