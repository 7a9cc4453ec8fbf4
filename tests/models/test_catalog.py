import pytest

from models import catalog


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


def test_an_unknown_pair_is_an_error():
    with pytest.raises(ValueError, match="unknown pair of encoders 'large': the pairs are small, base"):
        catalog.pair("large")
