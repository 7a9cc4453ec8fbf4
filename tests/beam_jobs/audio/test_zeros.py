"""Zeros where sound should be are found: a download that was interrupted leaves them in a file of full size."""

import functools
import io
import itertools

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs import audio
from beam_jobs.audio import zeros
from tests.beam_jobs.audio import media

LENGTH_S, FILM_S = 2.5, 5.0
FORMATS = {
    "ADTS": ("adts", "aac"),
    "LATM": ("latm", "aac"),
    "AC-3": ("ac3", "ac3"),
    "AMR": ("amr", "libopencore_amrnb"),
    "TS": ("mpegts", "ac3"),
    "PS, MP2": ("mpeg", "mp2"),
    "PS, AC-3": ("vob", "ac3"),
    "WMA": ("asf", "wmav2"),
    "ASF, MP3": ("asf", "libmp3lame"),
    "TTA": ("tta", "tta"),
    "WavPack": ("wv", "wavpack"),
    "AVI, MP3": ("avi", "libmp3lame"),
    "AVI, AAC": ("avi", "aac"),
    "AVI, PCM": ("avi", "pcm_s16le"),
    "VOC": ("voc", "pcm_s16le"),
    "NUT": ("nut", "aac"),
    "NUT, PCM": ("nut", "pcm_s16le"),
    "MP4, Opus": ("mp4", "libopus"),
    "MP4, MP3": ("mp4", "libmp3lame"),
    "WAV, MP3": ("wav", "libmp3lame"),
    "WAV, WMA": ("wav", "wmav2"),
    "Ogg Opus": ("ogg", "libopus"),
}
FILMS = {
    "AVI": ("avi", "libmp3lame"),
    "AVI, PCM": ("avi", "pcm_s16le"),
    "MKV": ("matroska", "libopus"),
    "TS": ("mpegts", "aac"),
    "PS": ("mpeg", "mp2"),
    "WMV": ("asf", "wmav2"),
}


@functools.cache
def encode(name, kind="noise"):
    container, codec = FORMATS[name]
    rate = 8000 if name == "AMR" else media.RATE
    wave = media.noise(LENGTH_S, rate=rate)
    if kind == "silence":
        wave = np.concatenate([wave[: rate // 2], np.zeros(2 * rate, np.float32), wave[: rate // 2]])
    return media.encode(wave, container=container, codec=codec, rate=rate)


@functools.cache
def film(name):
    container, codec = FILMS[name]
    return media.encode(media.noise(FILM_S), container=container, codec=codec, picture_s=FILM_S)


def with_hole(content, *, start, share):
    """Replaces a share of a file by zeros."""
    first, last = (round(len(content) * place) for place in (start, start + share))
    return content[:first] + bytes(last - first) + content[last:]


def assert_truncated(content):
    with pytest.raises(audio.DecodeError) as caught:
        media.read(content)
    assert caught.value.cause in ("truncated", "unreadable")


@pytest.mark.parametrize(("start", "seconds"), [(0.3, 0.15), (0.45, 1.0)])
@pytest.mark.parametrize("name", FORMATS)
def test_a_hole(name, start, seconds):
    assert_truncated(with_hole(encode(name), start=start, share=seconds / LENGTH_S))


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"Ogg Opus"}))
def test_silence_is_no_hole(name):
    content = encode(name, "silence")
    assert media.seconds(content) == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize("name", FILMS)
@pytest.mark.parametrize(("start", "share"), [(0.3, 0.1), (0.5, 0.1), (0.8, 0.2)])
def test_a_hole_in_a_film(name, start, share):
    assert media.seconds(film(name)) == pytest.approx(FILM_S, abs=0.1)
    assert_truncated(with_hole(film(name), start=start, share=share))


@pytest.mark.parametrize("name", ["AC-3", "PS, MP2", "AVI, PCM", "WAV, MP3"])
def test_a_file_may_be_filled_up_to_a_block_of_the_disk(name):
    content = encode(name)
    assert media.seconds(content + bytes(4000)) == pytest.approx(LENGTH_S, abs=0.1)
    if name != "WAV, MP3":  # It tells its length.
        assert_truncated(content + bytes(100_000))


def test_a_segment_before_a_hole_is_whole():
    content = with_hole(encode("AC-3"), start=0.6, share=0.2)
    assert media.read(content, 0.5, 1.5).samples.size == media.RATE


def test_zeros_that_fill_the_blocks_of_asf():
    wave = np.concatenate([media.noise(0.5), np.zeros(5 * media.RATE, np.float32)])
    content = media.encode(wave, container="asf", codec="aac")
    assert bytes(1500) in content
    assert media.seconds(content) == pytest.approx(5.5, abs=0.1)


def test_bursts_with_zeros_between_them():
    """S/PDIF carries compressed sound at the rate of PCM, and zeros for the rest."""
    content = media.encode(media.noise(LENGTH_S), container="spdif", codec="ac3")
    assert media.seconds(content) == pytest.approx(LENGTH_S, abs=0.1)
    assert_truncated(with_hole(content, start=0.4, share=0.1))


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("place", [0.3, 0.7])
def test_a_page_of_ogg_with_a_wrong_checksum(subtype, place):
    """libsndfile passes over the page and repeats what follows, to the promised length."""
    file = io.BytesIO()
    soundfile.write(file, media.noise(6.0, rate=48000), 48000, format="OGG", subtype=subtype)
    content = bytearray(file.getvalue())
    content[round(place * len(content))] ^= 1
    assert_truncated(bytes(content))


@given(
    lengths=st.lists(st.integers(1, 40), max_size=12),
    least=st.integers(2, 30),
    begin=st.integers(0, 20),
    cut=st.integers(0, 20),
)
def test_runs_are_those_of_a_plain_search(lengths, least, begin, cut):
    data = np.repeat(np.arange(len(lengths)) % 2, lengths).astype(np.uint8)
    stop = max(begin, data.size - cut)
    expected, at = [], begin
    for value, group in itertools.groupby(data[begin:stop].tolist()):
        end = at + len(list(group))
        if value == 0 and end - at >= least:
            expected.append((at, end))
        at = end
    assert list(zeros._runs(data, begin, stop, least=least)) == expected
