"""A segment's seconds are those of the player's clock, also where sound starts late or pauses."""

import fractions
import io

import av
import numpy as np
import pytest
import soundfile

from tests.beam_jobs.audio import media

# FFmpeg's name of the container, the encoder, and the options of the container.
CONTAINERS = {
    "MKV": ("matroska", "aac", {}),
    "MKV, Opus": ("matroska", "libopus", {}),
    "MKV, PCM": ("matroska", "pcm_s16le", {}),
    "MP4": ("mp4", "aac", {}),
    "MP4, fragments": ("mp4", "aac", {"movflags": "frag_keyframe+delay_moov"}),
    "MOV": ("mov", "aac", {}),
    "TS": ("mpegts", "aac", {}),
    "TS, MP2": ("mpegts", "mp2", {}),
    "PS": ("mpeg", "mp2", {}),
    "NUT": ("nut", "aac", {}),
}
# Sound in Ogg, and PCM in MOV, can start late, but not pause.
LATE = {**CONTAINERS, "MOV, PCM": ("mov", "pcm_s16le", {}), "Ogg": ("ogg", "libopus", {})}
WAVE = media.dull_noise(6.0)


def write(name, *, spans, picture_s):
    container, codec, options = LATE[name]
    return media.encode(WAVE, container=container, codec=codec, spans=spans, picture_s=picture_s, options=options)


def assert_equals_wave(content, start_s, end_s):
    """Checks that a segment is that of the wave, to 20 ms."""
    sound = media.read(content, start_s, end_s)
    assert sound.samples.size == round((end_s - start_s) * media.RATE)
    expected = WAVE[round(start_s * media.RATE) : round(end_s * media.RATE)]
    assert abs(media.lag_s(sound.samples, expected)) < 0.02


@pytest.mark.parametrize("name", LATE)
def test_sound_that_starts_later_than_the_pictures(name):
    content = write(name, spans=[(1.2, 3.2)], picture_s=3.2)
    assert media.seconds(content) == pytest.approx(2.0, abs=0.1)
    for start_s, end_s in ((1.5, 2.0), (1.8, 2.8), (0.6, 2.2)):
        assert_equals_wave(content, start_s, end_s)
    assert np.abs(media.read(content, 0.0, 1.1).samples).max() < 0.01
    # A segment without an end is on the same clock.
    assert media.read(content, 2.0).samples.size / media.RATE == pytest.approx(1.2, abs=0.1)


@pytest.mark.parametrize("name", CONTAINERS)
def test_pauses_in_the_sound(name):
    content = write(name, spans=[(0.3, 1.5), (2.4, 3.6)], picture_s=3.6)
    assert media.seconds(content) == pytest.approx(3.3, abs=0.1)
    for start_s, end_s in ((0.5, 1.2), (2.7, 3.4), (1.0, 3.0)):
        assert_equals_wave(content, start_s, end_s)
    assert np.abs(media.read(content, 1.6, 2.3).samples).max() < 0.01


@pytest.mark.parametrize("name", CONTAINERS)
def test_without_pictures_the_clock_starts_with_the_sound(name):
    content = write(name, spans=[(1.0, 2.0), (2.5, 3.0)], picture_s=0.0)
    assert media.seconds(content) == pytest.approx(2.0, abs=0.1)
    sound = media.read(content, 0.25, 0.75)
    # Here FFmpeg's clock starts with what the encoder puts before the sound, a block of 1,024 samples.
    assert abs(media.lag_s(sound.samples, WAVE[round(1.25 * media.RATE) : round(1.75 * media.RATE)])) < 0.03


@pytest.mark.parametrize("pause_s", [0.06, 0.2])
def test_short_pauses_add_up(pause_s):
    """E.g. of a call in which silence was not sent."""
    starts = np.arange(0.0, 4.0, 0.4)
    content = write("MKV, Opus", spans=[(start, start + 0.4 - pause_s) for start in starts], picture_s=0.0)
    assert media.seconds(content) == pytest.approx(4.0 - pause_s, abs=0.05)
    assert_equals_wave(content, 3.2, 3.5)


def test_times_that_are_rounded_to_milliseconds_make_no_pauses():
    wave = media.tone(441.0, seconds=3.0, rate=44100)
    content = media.encode(wave, container="matroska", codec="pcm_s16le", rate=44100)
    np.testing.assert_allclose(media.read(content).samples, wave, atol=1e-4)


def test_a_clock_that_starts_again_loses_nothing():
    first, second = (
        media.encode(media.tone(hertz, seconds=2.0), container="mpegts", codec="mp2", picture_s=2.0)
        for hertz in (500.0, 900.0)
    )
    sound = media.read(first + second)
    assert sound.samples.size / media.RATE == pytest.approx(4.0, abs=0.1)
    assert media.hertz(sound.samples[: media.RATE], rate=media.RATE) == pytest.approx(500.0, abs=2)
    assert media.hertz(sound.samples[-media.RATE :], rate=media.RATE) == pytest.approx(900.0, abs=2)


def test_a_clock_that_jumps_forward_by_hours_is_no_pause_of_hours():
    first, second = (
        media.encode(
            media.noise(1.0), container="mpegts", codec="mp2", picture_s=1.0, options={"output_ts_offset": offset}
        )
        for offset in ("0", "7200")
    )
    assert media.seconds(first + second) == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("count", [1, 2])
def test_ogg_vorbis_that_was_cut_out_of_a_longer_file(count):
    """FFmpeg then gives the first samples negative numbers, as if they came before the beginning. Ogg cannot say so."""
    file = io.BytesIO()
    soundfile.write(file, WAVE, media.RATE, format="OGG", subtype="VORBIS")
    cut, samples = _cut(file.getvalue(), start_s=2.7, end_s=6.0)
    sound = media.read(cut * count)
    # The first packet of a decoder gives no sound.
    assert sound.samples.size / media.RATE == pytest.approx(count * samples / media.RATE, abs=0.05 * count)
    assert sound.samples.size / media.RATE > 3.3 * count + 0.1
    assert media.lag_s(sound.samples[:96000], WAVE) == pytest.approx(-(6.0 - samples / media.RATE), abs=0.05)


def test_ogg_vorbis_that_was_cut_out_ends_where_its_last_page_says():
    """The last packet holds more. oggdec leaves out up to a packet more, after the first page."""
    file = io.BytesIO()
    soundfile.write(file, WAVE, media.RATE, format="OGG", subtype="VORBIS")
    cut, samples = _cut(file.getvalue(), start_s=2.7, end_s=100.0)
    sound = media.read(cut)
    assert sound.samples.size < samples
    start = round(-media.RATE * media.lag_s(sound.samples, WAVE))
    assert start + sound.samples.size == WAVE.size


def _cut(content, *, start_s, end_s):
    """Does what `ffmpeg -ss start_s -t end_s -c copy` does.

    Returns:
        The file, and how many samples its packets have.
    """
    file = io.BytesIO()
    samples = 0
    with av.open(io.BytesIO(content)) as source, av.open(file, "w", format="ogg") as output:
        stream = source.streams.audio[0]
        copy = output.add_stream_from_template(stream)
        for packet in source.demux(stream):
            # FFmpeg starts with the page before.
            if packet.pts is None or not start_s - 0.4 <= packet.pts * stream.time_base < end_s:
                continue
            samples += packet.duration
            packet.pts = packet.dts = packet.pts - round(fractions.Fraction(start_s) / stream.time_base)
            packet.stream = copy
            output.mux(packet)
    return file.getvalue(), samples
