"""Joined files that are split by the sizes in their headers, e.g. by `cat a.wav b.wav`; see test_headers.py."""

import struct

import numpy as np
import pytest

from beam_jobs import audio
from beam_jobs.audio import readers
from beam_jobs.audio.sound import Segment
from tests.beam_jobs.audio.test_headers import RATE, SIZES, cause, seconds, with_size, write


@pytest.mark.parametrize(
    "container", ["WAV", "WAVEX", "RIFX", "RF64", "W64", "AIFF", "AU", "CAF", "NIST", "VOC", "SVX"]
)
@pytest.mark.parametrize("lengths", [(3.0, 4.0), (1.0, 0.5, 2.0, 1.0), (0.01, 1.0)])
def test_all_files_are_read(tmp_path, container, lengths):
    files = [write(container, seconds=length) for length in lengths]
    (tmp_path / "a").write_bytes(b"".join(files))
    whole = np.concatenate([readers.read(file).samples for file in files])
    for source in (b"".join(files), str(tmp_path / "a")):
        np.testing.assert_array_equal(readers.read(source).samples, whole)
    part = readers.read(str(tmp_path / "a"), Segment(start_s=0.25, end_s=1.25)).samples
    np.testing.assert_array_equal(part, whole[4000:20000])


def test_files_of_other_rates_channels_and_containers():
    content = write("WAV") + write("AIFF", channels=2) + write("WAV", rate=8000) + write("AU", rate=8000)
    sound = readers.read(content)
    assert sound.rate == RATE
    assert sound.samples.size / RATE == pytest.approx(3 + 3 + 6 + 6, abs=0.001)


def test_the_second_is_cut_short():
    content = write("WAV") + write("WAV")
    assert cause(content[:150000]) == "truncated"
    assert seconds(content[:150000], Segment(end_s=3.0)) == 3.0


@pytest.mark.parametrize("container", ["WAV", "RIFX", "RF64", "W64", "AIFF", "AU", "CAF", "SVX", "NIST"])
def test_the_first_is_cut_short(container):
    content = write(container)
    assert cause(content[: len(content) // 2] + content) == "truncated"
    assert seconds(content[: len(content) // 2] + content, Segment(end_s=1.0)) == 1.0


@pytest.mark.parametrize("container", SIZES)
@pytest.mark.parametrize("unknown", [0, 2000, "largest"])
def test_files_that_do_not_know_their_sizes(container, unknown):
    _, _, form, extra = SIZES[container]
    size = 256 ** struct.calcsize(form) - 1 - extra if unknown == "largest" else unknown
    first = with_size(write(container, seconds=1.0), container, size)
    second = with_size(write(container, seconds=2.0, rate=8000), container, size)
    sound = readers.read(first + second)
    assert sound.samples.size / sound.rate == pytest.approx(1 + 4, abs=0.001)


def test_several_chunks_of_sound_are_named():
    content = write("WAV")
    with pytest.raises(audio.DecodeError, match="several chunks of sound"):
        readers.read(content + content[36:])
