"""FLAC files whose header does not tell how long they are: cut, joined, never finished, or damaged inside."""

import io

import av
import numpy as np
import pytest
import soundfile

from beam_jobs import audio
from beam_jobs.audio import flac, readers
from beam_jobs.audio.sound import Segment

RATE = 16000
ID3V2 = b"ID3\x03\x00\x00\x00\x00\x01\x00" + bytes(128)
ID3V1 = b"TAG" + b"title" * 25


def noise(seconds, *, seed=0, channels=1):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (round(seconds * RATE), channels))


def encode(wave, *, rate=RATE, subtype="PCM_16"):
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format="FLAC", subtype=subtype)
    return file.getvalue()


def promising(content, samples):
    """Returns a file whose header promises another number of samples; 0 means that it does not say."""
    at = content.index(b"fLaC") + 21
    stored = int.from_bytes(content[at : at + 5], "big")
    return content[:at] + (stored - stored % 2**36 + samples).to_bytes(5, "big") + content[at + 5 :]


def copy_frames(content, tmp_path, *, first, last):
    """Cuts a file without decoding it, as `ffmpeg -ss -t -c copy` does: header and numbers are those of the whole."""
    (tmp_path / "whole.flac").write_bytes(content)
    with av.open(str(tmp_path / "whole.flac")) as source, av.open(str(tmp_path / "cut.flac"), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for i, packet in enumerate(source.demux(source.streams.audio[0])):
            if packet.pts is not None and first <= i < last:
                packet.stream = stream
                target.mux(packet)
    return (tmp_path / "cut.flac").read_bytes()


def samples(source, segment=None):
    return readers.read(source, segment or Segment()).samples


def failure(source, segment=None):
    with pytest.raises(audio.DecodeError) as caught:
        readers.read(source, segment or Segment())
    return caught.value.cause, str(caught.value)


@pytest.fixture(scope="module")
def whole():
    return encode(noise(3.0))


@pytest.mark.parametrize("promised", [0, 1, 16000, 47999])
@pytest.mark.parametrize(("before", "after"), [(b"", b""), (ID3V2, b""), (b"", ID3V1)])
def test_sound_beyond_the_promised_end_is_read(tmp_path, whole, promised, before, after):
    content = before + promising(whole, promised) + after
    (tmp_path / "a.flac").write_bytes(content)
    for source in (content, str(tmp_path / "a.flac")):
        np.testing.assert_array_equal(samples(source), samples(whole))
        np.testing.assert_array_equal(samples(source, Segment(start_s=2.0, end_s=2.5)), samples(whole)[32000:40000])


@pytest.mark.parametrize("promised", [0, 16000, 48000])
def test_a_file_that_ends_inside_a_frame_is_truncated(whole, promised):
    for share in (0.4, 0.97):
        content = promising(whole, promised)[: round(share * len(whole))]
        assert failure(content)[0] == "truncated"
        assert samples(content, Segment(start_s=0.2, end_s=0.7)).size == 8000


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize(
    "lengths", [(3.0, 4.0), (3.0, 3.0), (4.0, 3.0), (1.0, 0.5, 2.0, 0.25), (3.0, 0.01), (0.01, 3.0)]
)
def test_joined_files_are_read_to_the_end(tmp_path, lengths, quiet):
    waves = [noise(length, seed=i) * (0 if quiet else 1) for i, length in enumerate(lengths)]
    content = b"".join(map(encode, waves))
    (tmp_path / "a.flac").write_bytes(content)
    expected = np.concatenate([samples(encode(wave)) for wave in waves])
    for source in (content, str(tmp_path / "a.flac")):
        np.testing.assert_array_equal(samples(source), expected)
    end_s = expected.size / RATE
    np.testing.assert_array_equal(samples(content, Segment(start_s=end_s - 1, end_s=end_s + 1)), expected[-RATE:])


@pytest.mark.parametrize("levels", [(1, 1), (1, 0.01), (0.01, 1), (1, 0), (0, 1), (0.3, 1, 0.3), (1,)])
def test_seeking_in_joined_files_of_one_length(tmp_path, levels):
    waves = [level * noise(20.0, seed=i) for i, level in enumerate(levels)]
    (tmp_path / "a.flac").write_bytes(b"".join(map(encode, waves)))
    for start_s in np.arange(1.0, 20.0 * len(levels), 4.0):
        part = samples(str(tmp_path / "a.flac"), Segment(start_s=start_s, end_s=start_s + 0.1))
        expected = np.concatenate(waves)[round(start_s * RATE) :][:1600, 0]
        np.testing.assert_allclose(part, expected, atol=2**-15)


def test_joined_files_of_several_rates_channels_and_tags(whole):
    content = ID3V2 + whole + ID3V2 + encode(noise(2.0, channels=2), rate=8000, subtype="PCM_24") + promising(whole, 0)
    sound = readers.read(content)
    assert sound.rate == RATE
    assert sound.samples.size / RATE == pytest.approx(3 + 4 + 3, abs=0.001)
    assert failure(content[:-9000])[0] == "truncated"


@pytest.mark.parametrize("size", [1, 100, 9000])
@pytest.mark.parametrize("is_filled", [True, False])
def test_a_hole_is_named(tmp_path, whole, size, is_filled):
    """A short hole costs a frame, of which FFmpeg says nothing."""
    at = len(whole) // 2
    content = whole[:at] + (bytes(size) if is_filled else b"") + whole[at + size :]
    (tmp_path / "a.flac").write_bytes(content)
    for source in (content, str(tmp_path / "a.flac")):
        cause, message = failure(source)
        assert (cause, message[:37]) == ("truncated", "some of its samples cannot be decoded")
    assert samples(content, Segment(end_s=1.0)).size == RATE


def test_a_file_that_promises_more_than_it_holds_is_truncated(whole):
    assert failure(promising(whole, 60000)) == ("truncated", "holds 3.00 s of the 3.75 s that its header promises")


@pytest.mark.parametrize(("first", "last"), [(3, 8), (3, 10**6)])
def test_frames_cut_out_of_another_file_are_whole(tmp_path, whole, first, last):
    content = copy_frames(whole, tmp_path, first=first, last=last)
    begin, end = first * 4096, min(last * 4096, 48000)
    np.testing.assert_array_equal(samples(content), samples(whole)[begin:end])
    part = samples(content, Segment(start_s=0.5, end_s=0.75))
    np.testing.assert_array_equal(part, samples(whole)[begin + 8000 : begin + 12000])
    assert failure(content[: len(content) * 9 // 10])[0] == "truncated"


@pytest.mark.parametrize("tail", [bytes(5000), b"junk" * 2000, b"APETAGEX" + bytes(range(256)) * 300, ID3V1])
def test_bytes_after_the_last_frame_are_ignored(whole, tail):
    np.testing.assert_array_equal(samples(whole + tail), samples(whole))


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_the_last_frame_of_any_file_tells_its_length(subtype, channels):
    rng = np.random.default_rng(channels)
    for size in rng.integers(1, 40000, 4):
        for level in (0.0, 0.01, 1.0):
            content = encode(level * noise(size / RATE, channels=channels), subtype=subtype)
            stream = flac.inspect(io.BytesIO(promising(content, 0)), start=0, size=len(content))
            assert (stream.first, stream.held, stream.breaks_off) == (0, size, False)


@pytest.mark.parametrize("block_samples", [192, 1000, 4608, 32767])
def test_files_of_another_encoder(tmp_path, block_samples):
    path = tmp_path / "a.flac"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "flac", rate=44100, layout="stereo", format="s16", options={"frame_size": str(block_samples)}
        )
        values = np.random.default_rng(0).integers(-3000, 3000, (1, 2 * 100000)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(values, format="s16", layout="stereo")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    for promised in (0, 5000, 100000):
        assert samples(promising(content, promised)).size == 100000
    assert samples(content + content).size == 200000


def test_numbers_of_frames_are_coded_like_characters():
    for number in (0, 127, 128, 2047, 2048, 65535, 65536, 0x10FFFF):
        coded = chr(number).encode("utf-8", "surrogatepass")
        assert flac._parse_number(coded, 0) == (number, len(coded))
    assert flac._parse_number(b"\xfe" + b"\xbf" * 6, 0) == (2**36 - 1, 7)
    assert flac._parse_number(b"\xff", 0)[0] is None
    assert flac._parse_number(b"\xc3", 0)[0] is None
