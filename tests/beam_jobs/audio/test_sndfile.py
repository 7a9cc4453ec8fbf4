"""What Diptych relies on in libsndfile: how it recognizes formats, seeks, and what it logs."""

import io
import os

import av
import numpy as np
import pytest
import soundfile

from beam_jobs import audio
from beam_jobs.audio import readers, sndfile
from beam_jobs.audio.sound import Segment
from tests import corpora

RATE = 16000
NO_AUDIO = {
    "html": b"<!DOCTYPE html><html><body>404 Not Found</body></html>\n" * 200,
    "noise": np.random.default_rng(0).bytes(20000),
    "zeros": bytes(20000),
    "text": b"just some notes\n" * 1000,
}


def noise(seconds):
    return np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * RATE))


class TestNames:
    """libsndfile takes a file called `a.au` for u-law, `a.vox` and `a.gsm` for speech; soundfile `a.raw` for PCM."""

    @pytest.mark.parametrize(
        "name", ["a.au", "a.SND", "a.raw", "a.RAW", "a.vox", "a.gsm", "a.sd2", "a.mp3", "a.wav", "a"]
    )
    @pytest.mark.parametrize("content", NO_AUDIO)
    def test_no_file_is_audio_by_its_name(self, tmp_path, name, content):
        (tmp_path / name).write_bytes(NO_AUDIO[content])
        with pytest.raises(audio.DecodeError) as caught:
            audio.decode_file(tmp_path / name)
        assert caught.value.cause == "unreadable"

    @pytest.mark.parametrize("name", ["a.au", "a.snd", "a.raw", "a.vox", "a.gsm", "a.mp3", "a.sd2", "a"])
    @pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "m4a"])
    def test_audio_of_any_name_is_read_by_its_content(self, tmp_path, name, suffix):
        corpora.write_format(tmp_path / f"b.{suffix}", seconds=1.0)
        (tmp_path / f"b.{suffix}").rename(tmp_path / name)
        np.testing.assert_array_equal(
            audio.decode_file(tmp_path / name), resampled(readers.read((tmp_path / name).read_bytes()))
        )

    def test_a_file_of_finder_beside_it_is_no_part_of_it(self, tmp_path):
        """libsndfile takes `._a.mp3` for the other half of a file of Sound Designer II."""
        corpora.write_format(tmp_path / "a.mp3", seconds=1.0)
        (tmp_path / "._a.mp3").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(200))
        assert audio.decode_file(tmp_path / "a.mp3").size == pytest.approx(16000, abs=2000)


def resampled(sound):
    return audio.decode.resample.to_int16(sound, sample_rate=16000)


@pytest.mark.parametrize(
    ("container", "subtype"),
    [
        ("WAV", "NMS_ADPCM_16"),
        ("WAV", "NMS_ADPCM_24"),
        ("WAV", "NMS_ADPCM_32"),
        ("WAV", "GSM610"),
        ("WAV", "G721_32"),
        ("AU", "G723_24"),
        ("AU", "G723_40"),
        ("W64", "GSM610"),
        ("AIFF", "GSM610"),
        ("XI", "DPCM_16"),
    ],
)
def test_formats_in_which_libsndfile_cannot_seek(monkeypatch, container, subtype):
    file = io.BytesIO()
    soundfile.write(file, noise(3.0), RATE, format=container, subtype=subtype)
    opened = soundfile.SoundFile(io.BytesIO(file.getvalue()))
    assert not opened.seekable()
    whole = opened.read(4 * RATE, dtype="float32")
    np.testing.assert_array_equal(readers.read(file.getvalue()).samples, whole)
    monkeypatch.setattr(sndfile, "_BLOCK_SAMPLES", 4001)
    rate = opened.samplerate
    part = readers.read(file.getvalue(), Segment(start_s=8000 / rate, end_s=24000 / rate))
    np.testing.assert_array_equal(part.samples, whole[8000:24000])


def test_no_descriptor_is_left_open(tmp_path):
    corpora.write_tone(tmp_path / "a.wav")
    (tmp_path / "b.wav").write_bytes(b"no audio")
    (tmp_path / "c.flac").write_bytes(b"fLaC" + bytes(100))
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        readers.read(str(tmp_path / "a.wav"))
        for name in ("b.wav", "c.flac"):
            with pytest.raises(audio.DecodeError):
                readers.read(str(tmp_path / name))
    assert len(os.listdir("/dev/fd")) == before


class TestCreativeVoiceFile:
    """FFmpeg writes a block for each packet; libsndfile takes their headers for sound."""

    @pytest.fixture
    def content(self, tmp_path):
        path = tmp_path / "a.voc"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
            for start in range(0, 3 * RATE, 1000):
                frame = av.AudioFrame.from_ndarray(np.full((1, 1000), 1000, np.int16), format="s16", layout="mono")
                frame.sample_rate, frame.pts = RATE, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path.read_bytes()

    def test_all_blocks_are_read_and_nothing_else(self, content):
        np.testing.assert_array_equal(readers.read(content).samples, np.full(3 * RATE, 1000 / 32768, np.float32))

    def test_a_file_that_ends_inside_a_block_is_truncated(self, content):
        with pytest.raises(audio.DecodeError) as caught:
            readers.read(content[:-1500])
        assert caught.value.cause == "truncated"
        assert readers.read(content[:-1500], Segment(end_s=1.0)).samples.size == RATE

    def test_a_file_without_the_last_byte_which_marks_the_end(self, content):
        assert readers.read(content[:-1]).samples.size == 3 * RATE


class TestLog:
    """libsndfile tells some things only in its log, which a new version may word differently."""

    @pytest.mark.parametrize(
        ("container", "subtype"), [("AVR", "PCM_16"), ("MPC2K", "PCM_16"), ("MAT4", "FLOAT"), ("MAT5", "FLOAT")]
    )
    def test_the_number_of_samples_in_headers_of_rare_formats(self, container, subtype):
        file = io.BytesIO()
        soundfile.write(file, noise(1.0), RATE, format=container, subtype=subtype)
        for content in (file.getvalue(), file.getvalue()[:20000]):
            with soundfile.SoundFile(io.BytesIO(content)) as opened:
                assert int(sndfile._LOGGED_LENGTH.findall(opened.extra_info)[-1]) == RATE
        assert opened.frames < RATE

    def test_an_mp3_file_without_its_length(self, tmp_path):
        path = tmp_path / "a.mp3"
        corpora.write_format(path)
        content = path.read_bytes()
        assert not sndfile._GUESSED_LENGTH.search(soundfile.info(path).extra_info)
        path.write_bytes(content.replace(b"Xing", b"none").replace(b"Info", b"none"))
        assert sndfile._GUESSED_LENGTH.search(soundfile.info(path).extra_info)


@pytest.mark.parametrize("blocks", [50, 51])
def test_the_padding_of_gsm_is_no_sound(tmp_path, blocks):
    """A block has 65 bytes. libsndfile itself decodes the byte after an odd number of them to noise at full scale."""
    soundfile.write(tmp_path / "a.wav", np.zeros(320 * blocks), 8000, subtype="GSM610")
    sound = readers.read(str(tmp_path / "a.wav"))
    assert sound.samples.size == 320 * blocks
    assert np.abs(sound.samples).max() < 0.01
