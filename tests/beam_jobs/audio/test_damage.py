"""A copy that has a hole or was cut short is refused, even if the header of its format gives no length."""

import functools
import io
import re

import pytest
import soundfile

from beam_jobs import audio
from tests.beam_jobs.audio import media

FORMATS = {
    "TS": ("mpegts", "aac", {}),
    "ADTS": ("adts", "aac", {}),
    "AC-3": ("ac3", "ac3", {}),
    "E-AC-3": ("eac3", "eac3", {}),
    "FLV": ("flv", "libmp3lame", {}),
    "NUT": ("nut", "aac", {}),
    "MKA": ("matroska", "libopus", {}),
    "MKA, live": ("matroska", "libopus", {"live": "1"}),
    "M4A": ("ipod", "aac", {}),
    "MP4, fragments": ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov", "frag_duration": "300000"}),
    "Ogg Opus": ("ogg", "libopus", {}),
    "Ogg FLAC": ("ogg", "flac", {}),
    "CAF": ("caf", "alac", {}),
}
# These do not say how long they are, so that an end that is missing goes unnoticed.
ENDLESS = {"TS", "ADTS", "AC-3", "E-AC-3", "NUT", "MKA, live"}
RATE = 44100
LENGTH_S = 2.5


@functools.cache
def encode(name, length_s=LENGTH_S):
    container, codec, options = FORMATS[name]
    rate = media.RATE if codec == "libopus" else RATE
    return media.encode(media.noise(length_s, rate=rate), container=container, codec=codec, rate=rate, options=options)


@pytest.mark.parametrize("name", FORMATS)
def test_a_hole(name):
    content = encode(name)
    assert media.seconds(content) == pytest.approx(LENGTH_S, abs=0.1)
    start, end = len(content) * 4 // 10, len(content) * 6 // 10
    with pytest.raises(audio.DecodeError) as caught:
        media.read(content[:start] + bytes(end - start) + content[end:])
    assert caught.value.cause in ("truncated", "unreadable")


@pytest.mark.parametrize("name", sorted(set(FORMATS) - ENDLESS))
@pytest.mark.parametrize("filling", [0, 1])
def test_a_missing_end(name, filling):
    content = encode(name)
    kept = len(content) * 6 // 10
    with pytest.raises(audio.DecodeError) as caught:
        media.read(content[:kept] + filling * bytes(len(content) - kept))
    assert caught.value.cause in ("truncated", "unreadable")


@pytest.mark.parametrize(("container", "codec"), [("asf", "wmav2"), ("avi", "libmp3lame")])
def test_a_file_that_is_smaller_than_its_header_says(container, codec):
    content = media.encode(media.noise(LENGTH_S, rate=RATE), container=container, codec=codec, rate=RATE)
    assert media.seconds(content) == pytest.approx(LENGTH_S, abs=0.1)
    with pytest.raises(audio.DecodeError) as caught:
        media.read(content[: len(content) * 6 // 10])
    assert caught.value.cause == "truncated"


@pytest.mark.parametrize(("container", "codec"), [("asf", "wmav2"), ("avi", "libmp3lame")])
def test_a_file_that_does_not_know_its_size_or_has_tags_behind_it_is_whole(container, codec):
    wave = media.noise(LENGTH_S, rate=RATE)
    content = media.encode(wave, container=container, codec=codec, rate=RATE)
    data = content.find(bytes.fromhex("3626B2758E66CF11A6D900AA0062CE6C")) + 16
    live = {
        # What FFmpeg writes to a pipe.
        "asf": content[:data] + (50).to_bytes(8, "little") + content[data + 8 :],
        "avi": content[:4] + b"\xff\xff\xff\xff" + content[8:],
    }[container]
    for file in (live, content + b"TAG" + b"x" * 125, content + b"end of file " * 20):
        assert media.seconds(file) == pytest.approx(LENGTH_S, abs=0.1)
    assert media.seconds(live + live) == pytest.approx(2 * LENGTH_S, abs=0.2)


def test_lost_packets_of_a_broadcast():
    content = encode("TS", 4.0)
    # FFmpeg sees that packets are missing in the middle of a frame.
    for first, count in ((100, 10), (150, 37)):
        with pytest.raises(audio.DecodeError, match=r"0\.\d\d s in the middle of it are damaged"):
            media.read(content[: 188 * first] + content[188 * (first + count) :])


@pytest.mark.parametrize("tag", [b"TAG" + bytes(125), b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256)])
@pytest.mark.parametrize("name", ["ADTS", "AC-3", "E-AC-3"])
def test_tags_are_no_damage(name, tag):
    content = encode(name)
    assert media.seconds(content + tag) == pytest.approx(LENGTH_S, abs=0.15)
    assert media.seconds(content + tag + content) == pytest.approx(2 * LENGTH_S, abs=0.3)


@pytest.mark.parametrize(("subtype", "pages"), [("VORBIS", 1), ("OPUS", 2)])
def test_a_missing_page_of_ogg_is_a_hole(subtype, pages):
    """libsndfile would repeat what follows, to the promised length."""
    file = io.BytesIO()
    soundfile.write(file, media.noise(6.0, rate=48000), 48000, format="OGG", subtype=subtype)
    starts = [match.start() for match in re.finditer(b"OggS", file.getvalue())]
    middle = len(starts) // 2
    broken = file.getvalue()[: starts[middle]] + file.getvalue()[starts[middle + pages] :]
    for content in (broken, file.getvalue() + broken):
        with pytest.raises(audio.DecodeError, match="is damaged or breaks off") as caught:
            media.read(content)
        assert caught.value.cause == "truncated"
    assert media.read(broken, 0.5, 1.0).samples.size == 24000


def test_a_recording_of_a_radio_stream_lacks_no_page():
    """Its first pages are the headers of the stream, which had been sent for hours."""
    file = io.BytesIO()
    soundfile.write(file, media.noise(6.0, rate=48000), 48000, format="OGG", subtype="VORBIS")
    starts = [match.start() for match in re.finditer(b"OggS", file.getvalue())]
    assert media.seconds(file.getvalue()[: starts[2]] + file.getvalue()[starts[4] :]) > 3.0


def test_bytes_that_are_missing_in_matroska_are_no_pause():
    """FFmpeg goes on with the next cluster, where the clock has advanced."""
    content = media.encode(
        media.noise(12.0),
        container="matroska",
        codec="libopus",
        options={"cluster_time_limit": "5000"},
    )
    with pytest.raises(audio.DecodeError, match="in the middle of it are damaged") as caught:
        media.read(content[: len(content) * 2 // 10] + content[len(content) * 7 // 10 :])
    assert caught.value.cause == "truncated"


@pytest.mark.parametrize("kept", [0, 8, 20])
def test_ogg_whose_first_packet_is_cut_short_is_damaged(kept):
    """It is no crash of the decoder, which would be tried again."""
    file = io.BytesIO()
    soundfile.write(file, media.noise(1.0), media.RATE, format="OGG", subtype="VORBIS")
    content = file.getvalue()
    # The first page has a header of 27 bytes, the size of its only packet, and the packet.
    damaged = content[:27] + bytes([kept]) + content[28 : 28 + kept] + content[28 + content[27] :]
    with pytest.raises(audio.DecodeError):
        media.read(damaged)


@pytest.mark.parametrize("size", [None, bytes(4)])
def test_mp4_without_its_index_is_truncated(size):
    """A recorder that crashed leaves no size either: 0 means the rest of the file."""
    content = media.encode(media.noise(2.0), container="mp4", codec="aac")
    at = content.index(b"mdat")
    cut = content[: at - 4] + (size or content[at - 4 : at]) + content[at : len(content) // 2]
    with pytest.raises(audio.DecodeError, match="breaks off before its index is whole") as caught:
        media.read(cut)
    assert caught.value.cause == "truncated"
    with pytest.raises(audio.DecodeError) as caught:
        media.read(content[: at - 8])  # Nothing tells that there was any sound.
    assert caught.value.cause == "unreadable"


@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize("kept", [4, 8, 100, 300])
def test_mp4_that_breaks_off_inside_its_index_is_truncated(is_first, kept):
    content = media.encode(media.noise(2.0), container="mp4", codec="aac")
    index = content.index(b"moov") - 4
    before = content[: int.from_bytes(content[:4], "big")] if is_first else content[:index]
    with pytest.raises(audio.DecodeError, match="breaks off before its index is whole") as caught:
        media.read(before + content[index : index + 8 + kept])
    assert caught.value.cause == "truncated"
