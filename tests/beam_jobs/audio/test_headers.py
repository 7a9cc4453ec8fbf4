"""Headers whose size of the sound is wrong: cut, crashed, piped, wrapped and joined files, in all containers."""

import io
import struct

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs import audio
from beam_jobs.audio import headers, readers
from beam_jobs.audio.sound import Segment

RATE = 16000
# Containers with a size in the header -> the encoding that soundfile writes.
SIZED = {
    "WAV": "PCM_16",
    "WAVEX": "PCM_24",
    "RF64": "PCM_16",
    "W64": "PCM_16",
    "AIFF": "PCM_16",
    "AU": "PCM_16",
    "CAF": "PCM_16",
    "NIST": "PCM_16",
    "SVX": "PCM_16",
    "VOC": "PCM_16",
    "AVR": "PCM_16",
    "MPC2K": "PCM_16",
    "MAT4": "FLOAT",
    "MAT5": "FLOAT",
}
ENCODINGS = [
    ("WAV", "IMA_ADPCM"),
    ("WAV", "MS_ADPCM"),
    ("WAV", "GSM610"),
    ("WAV", "G721_32"),
    ("WAV", "NMS_ADPCM_16"),
    ("WAV", "NMS_ADPCM_24"),
    ("WAV", "NMS_ADPCM_32"),
    ("WAV", "ULAW"),
    ("WAV", "DOUBLE"),
    ("WAVEX", "FLOAT"),
    ("RF64", "FLOAT"),
    ("W64", "MS_ADPCM"),
    ("W64", "GSM610"),
    ("AIFF", "IMA_ADPCM"),
    ("AIFF", "GSM610"),
    ("AU", "ULAW"),
    ("AU", "G723_24"),
    ("AU", "G723_40"),
    ("CAF", "ALAC_16"),
    ("CAF", "FLOAT"),
    ("NIST", "ULAW"),
    ("VOC", "ALAW"),
]
# Container -> (what precedes the size of the sound, offset of the size after that, its format, bytes that it includes)
SIZES = {
    "WAV": (b"data", 4, "<I", 0),
    "WAVEX": (b"data", 4, "<I", 0),
    "RIFX": (b"data", 4, ">I", 0),
    "RF64": (b"ds64", 16, "<Q", 0),
    "W64": (b"data", 16, "<Q", 24),
    "AIFF": (b"SSND", 4, ">I", 8),
    "AU": (b".snd", 8, ">I", 0),
    "CAF": (b"data", 4, ">Q", 4),
    "SVX": (b"BODY", 4, ">I", 0),
}


def noise(seconds, *, channels=1):
    return np.random.default_rng(0).uniform(-0.5, 0.5, (round(seconds * RATE), channels))


def write(container, encoding="PCM_16", *, seconds=3.0, rate=RATE, channels=1):
    file = io.BytesIO()
    endian = "BIG" if container == "RIFX" else "FILE"
    container = "WAV" if container == "RIFX" else container
    wave = noise(seconds, channels=channels)
    soundfile.write(file, wave, rate, format=container, subtype=encoding, endian=endian)
    return file.getvalue()


WHOLE = {
    container: write(container, encoding, seconds=1.0) for container, encoding in (*SIZED.items(), ("FLAC", "PCM_16"))
}


def with_size(content, container, size):
    """Returns a file with another size of its sound, or none at all."""
    name, offset, form, extra = SIZES[container]
    at = content.index(name) + offset
    stored = struct.pack(form, size + extra if isinstance(size, int) else 0)
    return content[:at] + stored + content[at + len(stored) :]


def seconds(source, segment=None):
    sound = readers.read(source, segment or Segment())
    return sound.samples.size / sound.rate


def cause(source, segment=None):
    with pytest.raises(audio.DecodeError) as caught:
        readers.read(source, segment or Segment())
    return caught.value.cause


@pytest.mark.parametrize(("container", "encoding"), [*SIZED.items(), *ENCODINGS])
class TestCutShort:
    def test_only_the_whole_file_is_whole(self, tmp_path, container, encoding):
        whole = write(container, encoding, seconds=2.0)
        assert seconds(whole) == pytest.approx(2.0, abs=0.3)  # ADPCM pads its last block.
        for share in (0.4, 0.8):
            content = whole[: round(share * len(whole))]
            (tmp_path / "a").write_bytes(content)
            assert cause(content) == cause(str(tmp_path / "a")) == "truncated"
            assert cause(content, Segment(start_s=0.1, end_s=2.0)) == "truncated"
            assert seconds(content, Segment(start_s=0.1, end_s=0.4)) == pytest.approx(0.3, abs=0.001)


@given(container=st.sampled_from(list(WHOLE)), share=st.floats(0.15, 0.89))
def test_a_file_cut_short_anywhere_is_truncated(container, share):
    assert cause(WHOLE[container][: round(share * len(WHOLE[container]))]) == "truncated"


@pytest.mark.parametrize("container", ["WAV", "AIFF", "AU", "CAF", "W64"])
def test_a_header_without_sound_that_promises_some_is_truncated(container):
    header_bytes = len(write(container, seconds=0.0))
    for extra in (0, 1, 2):
        assert cause(WHOLE[container][: header_bytes + extra]) == "truncated"


def test_rf64_with_the_magic_of_bw64_is_the_same():
    content = b"BW64" + write("RF64")[4:]
    assert seconds(content) == 3.0
    assert cause(content[:60000]) == "truncated"


def test_cut_file_of_a_codec_that_libsndfile_lacks(tmp_path):
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("adpcm_swf", rate=22050, layout="mono")
        for start in range(0, 66150, 4096):
            frame = av.AudioFrame.from_ndarray(np.ones((1, 4096), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 22050, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert seconds(path.read_bytes()) > 2.9
    assert cause(path.read_bytes()[:5000]) == "truncated"


@pytest.mark.parametrize("container", SIZES)
class TestWrongSize:
    """A recorder that crashed leaves 0 or the size of its last update, a pipe the largest number."""

    @pytest.mark.parametrize("size", [None, 0, 2000, 40000])
    def test_sound_after_the_end_that_the_header_tells_is_read(self, tmp_path, container, size):
        content = write(container)
        whole = readers.read(content).samples
        content = with_size(content, container, size)
        (tmp_path / "a").write_bytes(content)
        np.testing.assert_array_equal(readers.read(content).samples, whole)
        np.testing.assert_array_equal(readers.read(str(tmp_path / "a")).samples, whole)
        part = readers.read(content, Segment(start_s=2.0, end_s=2.5)).samples
        np.testing.assert_array_equal(part, whole[32000:40000])

    @pytest.mark.parametrize("less", [0, 1, 36, 4095])
    def test_the_largest_numbers_are_no_promise(self, container, less):
        _, _, form, extra = SIZES[container]
        bits = 8 * struct.calcsize(form)
        for size in (2**bits - 1, 2 ** (bits - 1) - 1):
            assert seconds(with_size(write(container), container, size - extra - less)) == 3.0

    def test_a_size_in_the_gigabytes_is_a_promise(self, container):
        assert cause(with_size(write(container), container, 3 * 10**9)) == "truncated"

    def test_an_empty_file_is_empty(self, container):
        assert seconds(with_size(write(container, seconds=0.0), container, 0)) == 0

    def test_zeros_and_tags_after_the_sound_are_not_sound(self, container):
        for rest in (bytes(20000), b"ID3\3" + bytes(range(250)) * 20):
            assert seconds(write(container) + rest) == 3.0


@pytest.mark.parametrize("encoding", ["IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32", "NMS_ADPCM_24", "ULAW", "FLOAT"])
def test_a_crashed_recorder_of_any_encoding(encoding):
    content = write("WAV", encoding)
    np.testing.assert_array_equal(readers.read(with_size(content, "WAV", 0)).samples, readers.read(content).samples)


@pytest.mark.timeout(30)  # Its time does not grow with the square of the size.
def test_a_recorder_that_crashed_before_it_wrote_a_header():
    content = b"RIFF\0\0\0\0WAVE" + bytes(2**21)
    assert cause(content) == "unreadable"


def test_a_crashed_recorder_that_has_written_no_size_at_all():
    content = with_size(write("WAV"), "WAV", 0)
    for size in (0, 8, 36, 2**32 - 1):
        assert seconds(content[:4] + struct.pack("<I", size) + content[8:]) == 3.0
    content = write("RF64")
    for stored in (bytes(4), b"\xff" * 4):
        at = content.index(b"data") + 4
        assert seconds(content[:20] + bytes(28) + content[48:at] + stored + content[at + 4 :]) == 3.0


@pytest.mark.parametrize(
    "tail",
    [
        b"LIST" + struct.pack("<I", 3000) + bytes(range(250)) * 12,
        b"bext" + struct.pack("<I", 602) + b"\1" * 602 + b"iXML" + struct.pack("<I", 5000) + b"<" * 5000,
        b"LIST" + struct.pack("<I", 9000) + b"cut short" * 500,
        b"ID3\3" + bytes(range(250)) * 20,
        b"TAG" + b"title" * 25,
        b"short junk" * 50,
        b"",
    ],
)
@pytest.mark.parametrize("samples", [16000, 16001])
@pytest.mark.parametrize("padded", [True, False])
def test_what_may_follow_the_sound_is_not_sound(tail, samples, padded):
    content = write("WAV", "PCM_U8", seconds=samples / RATE)[: 44 + samples]
    content += bytes(samples % 2 if padded else 0) + tail
    assert readers.read(content).samples.size == samples


class TestBeyondFourGibibytes:
    def test_a_wrapped_size_of_a_sparse_file(self, tmp_path):
        """The last 20 ms of three hours at 192 kHz, with a chunk after them, which is no sound."""
        path = tmp_path / "long.wav"
        rate, size = 192000, 2**32 + 2 * 10**6
        content = write("WAV", rate=rate, seconds=0.01)
        at = content.index(b"data")
        with path.open("wb") as file:
            file.write(content[: at + 4] + struct.pack("<I", size % 2**32))
            file.seek(at + 8 + size - 4000)
            file.write(np.full(2000, 5000, "<i2").tobytes() + b"LIST" + struct.pack("<I", 2000) + b"x" * 2000)
        length_s = size / 2 / rate
        sound = readers.read(str(path), Segment(start_s=length_s - 0.02, end_s=length_s + 5))
        np.testing.assert_array_equal(sound.samples[-2000:], np.float32(5000 / 32768))
        assert sound.samples.size == pytest.approx(0.02 * rate, abs=1)
        assert not sound.samples[:-2000].any()

    def test_several_wraps(self, tmp_path):
        path = tmp_path / "long.au"
        with path.open("wb") as file:
            file.write(write("AU", seconds=0.0)[:8] + struct.pack(">I", 100) + write("AU", seconds=0.0)[12:])
            file.seek(3 * 2**32 + 124 - 2)
            file.write(b"\1\1")
        length_s = (3 * 2**32 + 100) / 2 / RATE
        assert readers.read(str(path), Segment(start_s=length_s - 1, end_s=length_s)).samples[-1] != 0


def test_a_healthy_file_is_read_as_it_is():
    for container, encoding in SIZED.items():
        assert headers.inspect(io.BytesIO(write(container, encoding))) == headers.Extent()
