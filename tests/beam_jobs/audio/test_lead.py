"""What comes long before a segment is not decoded, and the segment is the same."""

import functools
import re

import numpy as np
import pytest

from beam_jobs import audio
from beam_jobs.audio import ffmpeg, readers
from beam_jobs.audio.sound import Segment
from tests.beam_jobs.audio import media

RATE = 16000
SECONDS = 76.0
# FFmpeg's name of the container, and the encoder.
FORMATS = {
    "M4A": ("mp4", "aac"),
    "MKA, Opus": ("matroska", "libopus"),
    "MKA, PCM": ("matroska", "pcm_s16le"),
    "MOV, PCM": ("mov", "pcm_s16le"),
}
ALL = ((0.0, np.inf),)


@functools.cache
def wave():
    return media.dull_noise(SECONDS, rate=RATE)


@functools.cache
def content(name, spans=ALL):
    container, codec = FORMATS[name]
    return media.encode(wave(), container=container, codec=codec, rate=RATE, spans=spans)


@pytest.fixture
def decoded(monkeypatch):
    """A list that gets the length of each block that is decoded, in seconds."""
    seconds = []
    to_mono = ffmpeg.to_mono

    def count(block, *, channel_axis, loudest):
        seconds.append(block.shape[1] / RATE)
        return to_mono(block, channel_axis=channel_axis, loudest=loudest)

    monkeypatch.setattr(ffmpeg, "to_mono", count)
    return seconds


def assert_is_part_of_wave(samples, start_s, end_s):
    assert samples.size == pytest.approx((end_s - start_s) * RATE, abs=0.05 * RATE)
    # Some clocks are rounded to milliseconds.
    assert abs(media.lag_s(samples, wave()[round(start_s * RATE) : round(end_s * RATE)], rate=RATE)) < 0.0025


def resampled(name, start_s, end_s, **how):
    """Reads a segment at the rate of the wave; Opus is always at 48 kHz."""
    sound = readers.read(content(name), Segment(start_s=start_s, end_s=end_s, **how))
    return sound.samples[:: sound.rate // RATE]


@pytest.mark.parametrize("name", FORMATS)
def test_a_late_segment_is_the_same_without_what_comes_before(name, decoded):
    assert_is_part_of_wave(resampled(name, 70.0, 72.0), 70.0, 72.0)
    assert sum(decoded) < 6.0 * (3 if "Opus" in name else 1)


@pytest.mark.parametrize("name", FORMATS)
def test_a_segment_may_reach_beyond_the_end_or_lie_there(name):
    assert_is_part_of_wave(resampled(name, 74.0, 90.0), 74.0, SECONDS)
    assert resampled(name, 80.0, 90.0).size == 0


def test_a_pause_that_is_passed_over_counts(decoded):
    sound = readers.read(content("MKA, PCM", ((0.0, 20.0), (30.0, np.inf))), Segment(start_s=70.0, end_s=72.0))
    assert_is_part_of_wave(sound.samples, 70.0, 72.0)
    assert sum(decoded) < 6.0


def test_a_pause_right_before_a_segment_is_silence():
    sound = readers.read(content("MKA, PCM", ((0.0, 66.0), (70.5, np.inf))), Segment(start_s=70.0, end_s=72.0))
    assert not sound.samples[: round(0.4 * RATE)].any()
    assert_is_part_of_wave(sound.samples, 70.0, 72.0)


def test_a_recording_is_not_taken_for_a_file_that_was_trimmed(decoded):
    assert_is_part_of_wave(resampled("M4A", 70.0, 72.0, may_be_trimmed=True), 70.0, 72.0)
    assert sum(decoded) < 6.0


def test_a_file_that_was_trimmed_is_read_whole_and_once(decoded):
    trimmed = media.encode(wave()[70 * RATE : 72 * RATE], container="mp4", codec="aac", rate=RATE)
    sound = readers.read(trimmed, Segment(start_s=70.0, end_s=72.0, may_be_trimmed=True))
    assert_is_part_of_wave(sound.samples, 70.0, 72.0)
    assert sum(decoded) == pytest.approx(2.0, abs=0.1)


def test_where_the_clock_goes_back_everything_is_decoded(decoded):
    """At 40 s, the clock of this file goes back to 35 s, as in recordings that were joined without a new header."""

    def put_back(match):
        name, size, rest = match[1], match[2][0] - 0x80, match[3]
        time_ms = int.from_bytes(rest[:size], "big")
        time_ms -= 5_000 if time_ms >= 40_000 else 0
        return name + match[2] + time_ms.to_bytes(size, "big") + rest[size:]

    # A cluster of Matroska: its name, its size, a checksum, and its time of two or three bytes.
    clusters = re.compile(rb"(\x1f\x43\xb6\x75.{4,14}?\xe7)([\x82\x83])(...)", flags=re.DOTALL)
    joined = clusters.sub(put_back, content("MKA, PCM"))
    assert_is_part_of_wave(readers.read(joined, Segment(start_s=68.0, end_s=70.0)).samples, 68.0, 70.0)
    assert sum(decoded) > 60.0


def test_damage_long_before_a_segment_does_not_matter():
    whole = content("M4A")
    at = whole.find(b"mdat") + 40_000
    damaged = whole[:at] + bytes(20_000) + whole[at + 20_000 :]
    with pytest.raises(audio.DecodeError):
        readers.read(damaged)
    sound = readers.read(damaged, Segment(start_s=70.0, end_s=72.0))
    assert_is_part_of_wave(sound.samples, 70.0, 72.0)
