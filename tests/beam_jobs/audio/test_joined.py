"""Files that were joined, e.g. with `cat`, are read to their end, whatever their parts are like."""

import io
import itertools
import struct

import numpy as np
import pytest
import soundfile

from beam_jobs import audio
from tests.beam_jobs.audio import media

# Name -> container and encoder. soundfile writes those without an encoder.
FORMATS = {
    "Ogg Vorbis": ("ogg", None),
    "Ogg Opus": ("ogg", "libopus"),
    "Ogg FLAC": ("ogg", "flac"),
    "MP3": ("mp3", "libmp3lame"),
    "MP2": ("mp2", "mp2"),
    "ADTS": ("adts", "aac"),
    "LATM": ("latm", "aac"),
    "AC-3": ("ac3", "ac3"),
    "E-AC-3": ("eac3", "eac3"),
    "M4A": ("ipod", "aac"),
    "MOV": ("mov", "alac"),
    "MKA": ("matroska", "libopus"),
    "MKA, PCM": ("matroska", "pcm_s16le"),
    "WebM": ("webm", "libopus"),
    "TS, AAC": ("mpegts", "aac"),
    "TS, MP2": ("mpegts", "mp2"),
    "PS": ("mpeg", "mp2"),
    "FLV": ("flv", "libmp3lame"),
    "WMA": ("asf", "wmav2"),
    "AVI": ("avi", "libmp3lame"),
    "NUT": ("nut", "aac"),
    "CAF": ("caf", "alac"),
    "TTA": ("tta", "tta"),
    "WavPack": ("wv", "wavpack"),
    "WAV": ("wav", "pcm_s16le"),
    "WAV, ADPCM": ("wav", "adpcm_ima_wav"),
    "WAV, MP3": ("wav", "libmp3lame"),
    "AIFF": ("aiff", "pcm_s16be"),
    "AU": ("au", "pcm_s16be"),
    "W64": ("w64", "pcm_s16le"),
    "AMR": ("amr", "libopencore_amrnb"),
}
# Some know few rates.
RATES = {
    "AMR": (8000, 8000),
    "FLV": (44100, 22050),
    "WMA": (44100, 22050),
    "AC-3": (48000, 32000),
    "E-AC-3": (48000, 32000),
}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "200000"}


def part(name, hertz, *, seconds, rate, channels, **options):
    container, codec = FORMATS[name]
    wave = media.tone(hertz, seconds=seconds, rate=rate)
    if codec is None:
        file = io.BytesIO()
        soundfile.write(file, np.stack([wave] * channels, axis=1), rate, format="OGG", subtype="VORBIS")
        return file.getvalue()
    return media.encode(wave, container=container, codec=codec, rate=rate, channels=channels, **options)


def assert_tones(sound, tones):
    """Checks the length of a sound, and that it holds tones: pairs of their frequency and their length in seconds."""
    length_s = sum(seconds for _, seconds in tones)
    # Codecs without a length add up to two blocks to each part.
    assert sound.samples.size / sound.rate == pytest.approx(length_s, abs=0.1 * len(tones))
    ends_s = itertools.accumulate(seconds for _, seconds in tones)
    for (hertz, seconds), end_s in zip(tones, ends_s, strict=True):
        middle = sound.samples[
            round((end_s - 0.7 * seconds) * sound.rate) : round((end_s - 0.2 * seconds) * sound.rate)
        ]
        assert media.hertz(middle, rate=sound.rate) == pytest.approx(hertz, abs=8)


@pytest.mark.parametrize("name", FORMATS)
def test_parts_of_one_kind(name):
    rate = RATES.get(name, (48000,))[0]
    tones = [(500.0, 0.6), (900.0, 0.9), (1300.0, 0.5)]
    files = [part(name, hertz, seconds=seconds, rate=rate, channels=1) for hertz, seconds in tones]
    assert_tones(media.read(b"".join(files)), tones)
    segment = media.read(b"".join(files), 0.8, 1.3)
    assert segment.samples.size == round(0.5 * segment.rate)
    assert media.hertz(segment.samples, rate=segment.rate) == pytest.approx(900.0, abs=8)


@pytest.mark.parametrize("name", FORMATS)
def test_parts_with_other_rates_and_channels(name):
    rates = RATES.get(name, (48000, 24000))
    channels = 1 if name == "AMR" else 2
    first = part(name, 500.0, seconds=0.6, rate=rates[0], channels=channels)
    second = part(name, 900.0, seconds=0.9, rate=rates[1], channels=1)
    for files, tones in (
        ((first, second), [(500.0, 0.6), (900.0, 0.9)]),
        ((second, first), [(900.0, 0.9), (500.0, 0.6)]),
    ):
        sound = media.read(b"".join(files))
        assert_tones(sound, tones)
        assert sound.rate >= max(rates) / 2


@pytest.mark.parametrize(("container", "codec"), [("mpegts", "aac"), ("mpegts", "mp2"), ("mpeg", "mp2")])
def test_streams_of_rising_rates_gain_no_pause(container, codec):
    """FFmpeg counts the time of frames with the first rate. Its MP2 decoder takes that for one more frame, too."""
    # So long a delay lets a packet have many frames.
    options = {"max_delay": "700000"}
    files = [
        media.encode(
            media.tone(500.0, seconds=2.0, rate=rate), container=container, codec=codec, rate=rate, options=options
        )
        for rate in (22050, 32000, 48000)
    ]
    length_s = sum(media.seconds(file) for file in files)
    assert media.seconds(b"".join(files)) == pytest.approx(length_s, abs=0.03)
    assert media.seconds(b"".join(reversed(files))) == pytest.approx(length_s, abs=0.03)


def test_fragments_of_mp4_with_other_rates():
    tones = [(500.0, 0.6), (900.0, 0.9)]
    files = [
        media.encode(
            media.tone(hertz, seconds=seconds, rate=rate), container="mp4", codec="aac", rate=rate, options=FRAGMENTS
        )
        for (hertz, seconds), rate in zip(tones, (44100, 22050), strict=True)
    ]
    assert_tones(media.read(b"".join(files)), tones)


@pytest.mark.parametrize(
    "options",
    [
        {"mpegts_start_pid": "512"},
        {"mpegts_service_id": "7", "mpegts_pmt_start_pid": "1280", "mpegts_start_pid": "600"},
    ],
)
@pytest.mark.parametrize("codecs", [("aac", "aac"), ("aac", "mp2"), ("mp2", "ac3")])
def test_transport_streams_that_number_their_tracks_differently(options, codecs):
    tones = [(500.0, 0.6), (900.0, 0.9)]
    files = [
        media.encode(media.tone(hertz, seconds=seconds), container="mpegts", codec=codec, options=choice)
        for (hertz, seconds), codec, choice in zip(tones, codecs, ({}, options), strict=True)
    ]
    assert_tones(media.read(b"".join(files)), tones)
    out_of_step = files[0] + files[0][:100]
    assert_tones(media.read(out_of_step + files[1]), tones)


@pytest.mark.parametrize(
    "name", ["Ogg Vorbis", "Ogg Opus", "MP3", "MKA", "M4A", "WAV", "CAF", "AIFF", "WMA", "TTA", "FLV"]
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_broken_part_is_named(name, is_first):
    rate = RATES.get(name, (48000,))[0]
    whole = part(name, 500.0, seconds=1.0, rate=rate, channels=1)
    broken = whole[: len(whole) * 6 // 10]
    with pytest.raises(audio.DecodeError) as caught:
        media.read(broken + whole if is_first else whole + broken)
    assert caught.value.cause in ("truncated", "unreadable")


def test_an_empty_link_of_a_chain_is_passed_over():
    """Radio stations send the headers alone between two songs."""
    song = part("Ogg Vorbis", 500.0, seconds=0.6, rate=48000, channels=1)
    headers = song[: song.index(b"OggS", song.index(b"OggS", 1) + 1)]
    assert_tones(media.read(song + headers + song), [(500.0, 0.6)] * 2)


def test_a_path_and_the_content_of_a_file_are_read_alike(tmp_path):
    content = part("Ogg Vorbis", 500.0, seconds=0.6, rate=48000, channels=1) * 2
    (tmp_path / "a.ogg").write_bytes(content)
    np.testing.assert_array_equal(media.read(str(tmp_path / "a.ogg")).samples, media.read(content).samples)


@pytest.mark.parametrize("count", [1, 3])
def test_sox_gives_a_block_of_voc_eight_bytes_too_few(count):
    head = b"Creative Voice File\x1a\x1a\x00\x0a\x01\x29\x11"
    wave = (32767 * media.noise(1.0, rate=44100)).astype("<i2")
    block = b"\x09" + (wave.nbytes + 4).to_bytes(3, "little") + struct.pack("<IBBH4x", 44100, 16, 1, 4)
    content = (head + block + wave.tobytes() + b"\0") * count
    assert media.read(content).samples.size == pytest.approx(count * 44100, abs=4 * count)
