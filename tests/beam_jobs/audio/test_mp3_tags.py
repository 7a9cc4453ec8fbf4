"""MP3 files are read to their end, whatever the tag in their first frame says."""

import numpy as np
import pytest

from beam_jobs import audio
from beam_jobs.audio import mp3, mp3_frames
from tests.beam_jobs.audio import media

RATE = 44100
ID3 = b"ID3\x03\x00\x00" + bytes([0, 0, 16, 0]) + bytes(2048)
ID3_WITH_A_PICTURE = b"ID3\x03\x00\x00" + bytes([0, 1, 0, 0]) + (b"\xff\xfb\x90\x64" + bytes(60)) * 256
ID3_AT_THE_END = b"TAG" + bytes(125)
APE = b"APETAGEX" + (2000).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(16) + bytes(64)


def encode(hertz, *, seconds=1.0, rate=RATE, channels=1, tagged=True, bit_rate="variable", codec="libmp3lame"):
    wave = media.tone(hertz, seconds=seconds, rate=rate) * np.linspace(0.02, 1, round(seconds * rate), dtype=np.float32)
    return media.encode(
        wave,
        container="mp3" if codec == "libmp3lame" else codec,
        codec=codec,
        rate=rate,
        channels=channels,
        options={"write_xing": "1" if tagged else "0", "id3v2_version": "0"} if codec == "libmp3lame" else None,
        codec_options={"flags": "+qscale", "global_quality": "472"} if bit_rate == "variable" else None,
    )


def with_count(content, count):
    """Writes a number of frames into the tag."""
    start = content.index(b"Xing") + 8
    return content[:start] + count.to_bytes(4, "big") + content[start + 4 :]


def without_count(content):
    """Removes the number of frames from the tag, whose other fields move forward."""
    tag = content.index(b"Xing")
    end = mp3_frames.form_at(content, 0).size
    flags = (int.from_bytes(content[tag + 4 : tag + 8], "big") & ~1).to_bytes(4, "big")
    return content[: tag + 4] + flags + content[tag + 12 : end] + bytes(4) + content[end:]


def vbri(content, count):
    """Replaces the tag by Fraunhofer's."""
    frame = mp3_frames.form_at(content, 0)
    tag = b"VBRI" + bytes([0, 1, 4, 0x91, 0, 75]) + len(content).to_bytes(4, "big") + count.to_bytes(4, "big")
    return content[:36] + tag + bytes(frame.size - 36 - len(tag)) + content[frame.size :]


@pytest.mark.parametrize("count", [0, 1, 5, 20])
@pytest.mark.parametrize("tag", [with_count, vbri])
def test_a_count_that_is_too_small(count, tag):
    content = encode(500.0)
    assert media.seconds(content) == pytest.approx(1.0, abs=0.001)
    sound = media.read(tag(content, count))
    # VBRI does not say how many samples the encoder put before the sound.
    assert sound.samples.size / RATE == pytest.approx(1.0, abs=0.001 if tag is with_count else 0.1)
    assert media.hertz(sound.samples[-20000:], rate=RATE) == pytest.approx(500.0, abs=3)


def test_a_tag_without_a_count():
    content = encode(500.0)
    np.testing.assert_array_equal(media.read(without_count(content)).samples, media.read(content).samples)


def test_a_count_that_is_too_large_means_that_the_end_is_missing():
    with pytest.raises(audio.DecodeError) as caught:
        media.read(with_count(encode(500.0), 100))
    assert caught.value.cause == "truncated"


@pytest.mark.parametrize("bit_rate", ["variable", "constant"])
@pytest.mark.parametrize("tagged", [True, False])
@pytest.mark.parametrize("between", [b"", ID3_AT_THE_END + ID3, APE + ID3_AT_THE_END, ID3_WITH_A_PICTURE])
def test_joined_files(bit_rate, tagged, between):
    hertz = (500.0, 900.0, 1300.0)
    files = [encode(h, seconds=0.5, tagged=tagged, bit_rate=bit_rate) for h in hertz]
    sound = media.read(between.join(files))
    # With its tag, each part is as long as what was encoded. Otherwise the codec adds up to two frames.
    assert sound.samples.size / RATE == pytest.approx(1.5, abs=0.002 if tagged else 0.3)
    for start_s, h in zip((0.2, 0.75, 1.3), hertz, strict=True):
        middle = sound.samples[round(start_s * RATE) :][: RATE // 5]
        assert media.hertz(middle, rate=RATE) == pytest.approx(h, abs=5)


def test_a_first_tag_that_counts_the_frames_of_all_parts():
    """Programs that join files write such a tag, and leave those of the other parts where they are."""
    first, second = encode(500.0), encode(900.0)
    frames = len(mp3_frames.find(first + second).starts)
    for count in range(frames - 3, frames + 1):
        assert media.seconds(with_count(first, count) + second) == pytest.approx(2.0, abs=0.002)


@pytest.mark.parametrize("other", [{"rate": 22050}, {"channels": 2}, {"rate": 48000, "channels": 2}, {"rate": 16000}])
@pytest.mark.parametrize("tagged", [True, False])
def test_joined_files_with_other_rates_or_channels(other, tagged):
    first, second = encode(500.0, tagged=tagged), encode(900.0, seconds=0.7, tagged=tagged, **other)
    for content, tones in ((first + second, (500.0, 900.0)), (second + first, (900.0, 500.0))):
        sound = media.read(content)
        assert sound.samples.size / sound.rate == pytest.approx(1.7, abs=0.002 if tagged else 0.2)
        assert sound.rate == max(RATE, other.get("rate", RATE))
        ends = (sound.samples[: sound.rate // 2], sound.samples[-sound.rate // 2 :])
        for samples, h in zip(ends, tones, strict=True):
            assert media.hertz(samples, rate=sound.rate) == pytest.approx(h, abs=5)


def test_a_file_cut_inside_a_frame_before_the_next():
    first, second = encode(500.0, bit_rate="constant", tagged=False), encode(900.0, bit_rate="constant")
    for cut in (-1, -50, -200):
        for between in (b"", ID3, ID3_WITH_A_PICTURE):
            assert media.seconds(first[:cut] + between + second) == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize(("size", "is_damage"), [(40, False), (6000, True)])
def test_a_hole_is_damage_if_it_could_hold_sound(size, is_damage):
    content = encode(500.0, bit_rate="constant")
    broken = content[:4000] + bytes(size) + content[4000 + size :]
    if is_damage:
        with pytest.raises(audio.DecodeError, match="is damaged or breaks off 0.5. s after its beginning") as caught:
            media.read(broken)
        assert caught.value.cause == "truncated"
        assert media.read(broken, 0.0, 0.4).samples.size == round(0.4 * RATE)
    else:
        assert media.seconds(broken) == pytest.approx(1.0, abs=0.06)


def test_a_download_whose_end_was_never_filled():
    content = encode(500.0, bit_rate="constant", tagged=False)
    with pytest.raises(audio.DecodeError) as caught:
        media.read(content[: len(content) // 2] + bytes(len(content) // 2))
    assert caught.value.cause == "truncated"


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000])
@pytest.mark.parametrize("codec", ["libmp3lame", "mp2"])
def test_frames_of_every_rate_are_found(rate, codec):
    if codec == "mp2" and rate < 16000:
        pytest.skip("MPEG-2.5 has no Layer II")
    content = encode(500.0, seconds=0.5, rate=rate, bit_rate="constant", codec=codec)
    frames = mp3_frames.find(content)
    form = mp3_frames.form_at(content, 0)
    assert form.rate == rate
    assert not frames.gaps
    assert not frames.changes
    assert 0.5 <= len(frames.starts) * form.samples / rate < 0.5 + 5 * form.samples / rate
    assert mp3.streams(content) == []


@pytest.mark.parametrize("content", [b"", b"\xff", b"ID3", ID3, b"\xff\xfb\x90\x64", b"\xff" * 1000, bytes(1000)])
def test_no_mp3(content):
    assert mp3.streams(content) == []


@pytest.mark.parametrize("method", [1, 4])
def test_a_file_that_was_cut_short_holds_fewer_frames_than_its_tag_counts(method):
    """LAME's part of the tag says whether the bit rate is constant. For libsndfile the count is then a guess."""
    content = bytearray(encode(500.0, seconds=3.0, bit_rate="constant"))
    content[content.index(b"Info") + 129] = method
    cut = bytes(content[: len(content) // 2])
    for source in (cut, bytes(content) + cut):
        with pytest.raises(audio.DecodeError) as caught:
            media.read(source)
        assert caught.value.cause == "truncated"
    assert media.read(cut, 0.1, 0.6).samples.size == RATE // 2


def in_free_format(content):
    """Removes the bit rate from the headers. Then only the next frame tells the size of a frame."""
    free = bytearray(content)
    for start in mp3_frames.find(content).starts:
        free[start + 2] &= 0x0F
    return bytes(free)


@pytest.mark.parametrize("between", [b"", ID3_AT_THE_END + ID3])
def test_joined_files_of_free_format(between):
    small = encode(500.0, bit_rate="constant", tagged=False)
    large = encode(900.0, bit_rate="constant", tagged=False, channels=2)
    other_rate = encode(1300.0, bit_rate="constant", tagged=False, rate=32000)
    free = [in_free_format(small), in_free_format(large), in_free_format(other_rate)]
    for parts in ((free[0], free[0]), free, (free[1], small, free[2]), (small, free[0])):
        content = between.join(parts)
        assert media.seconds(content) == pytest.approx(len(parts), abs=0.1 * len(parts))
        with pytest.raises(audio.DecodeError) as caught:
            media.read(content[: len(parts[0]) // 2] + bytes(len(parts[0]) // 4) + content[len(parts[0]) * 3 // 4 :])
        assert caught.value.cause == "truncated"
    np.testing.assert_array_equal(mp3_frames.find(free[1]).starts, mp3_frames.find(large).starts)
    assert media.hertz(media.read(free[0] + free[1], 1.2, 1.8).samples, rate=RATE) == pytest.approx(900.0, abs=3)
