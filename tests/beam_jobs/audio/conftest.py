import os

import pytest

from beam_jobs import audio
from beam_jobs.audio.decoder import Decoder
from tests import corpora
from tests.processes import decoders_of


@pytest.fixture
def decoder():
    """A decoder whose child process has not started."""
    decoder = Decoder(sample_rate=16000, rules=audio.Rules())
    yield decoder
    decoder.close()


@pytest.fixture
def tone(tmp_path):
    """The path of a file with a tone."""
    corpora.write_tone(tmp_path / "tone.wav")
    return str(tmp_path / "tone.wav")


@pytest.fixture
def ours():
    """Returns the decoders of this process, without those that other tests have left waiting."""
    earlier = set(decoders_of(os.getpid()))
    return lambda: [pid for pid in decoders_of(os.getpid()) if pid not in earlier]
