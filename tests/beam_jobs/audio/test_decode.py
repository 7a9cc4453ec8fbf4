import os

import av
import numpy as np
import pytest
import soundfile
from etils import epath

from beam_jobs import audio
from beam_jobs.audio import portions, readers, sndfile
from beam_jobs.audio.sound import Segment
from tests import corpora


def test_16_bit_pcm_at_the_target_rate_is_unchanged(tmp_path):
    samples = np.random.default_rng(0).integers(-32768, 32768, 5000).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 16000)
    np.testing.assert_array_equal(audio.decode_file(tmp_path / "a.wav"), samples)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_resampling_keeps_pitch_and_timing(tmp_path, rate):
    corpora.write_tone(tmp_path / "a.wav", sample_rate=rate, seconds=1.0, hertz=1000.0)
    decoded = audio.decode_file(tmp_path / "a.wav") / 32768
    expected = corpora.tone(seconds=1.0, hertz=1000.0)
    assert decoded.size == 16000
    np.testing.assert_allclose(decoded[500:-500], expected[500:-500], atol=1e-3)


def test_resampling_removes_frequencies_above_half_of_the_new_rate(tmp_path):
    corpora.write_tone(tmp_path / "a.wav", sample_rate=44100, seconds=1.0, hertz=12000.0)
    assert np.abs(audio.decode_file(tmp_path / "a.wav")[500:-500]).max() < 10


def test_channels_are_averaged(tmp_path):
    left, right = corpora.tone(hertz=300), corpora.tone(hertz=700)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 16000, subtype="FLOAT")
    expected = np.rint((left + right) / 2 * 32768)
    np.testing.assert_allclose(audio.decode_file(tmp_path / "a.wav"), expected, atol=1)


def test_reading_in_blocks_gives_the_same_samples_as_reading_at_once(tmp_path, monkeypatch):
    wave = np.random.default_rng(0).uniform(-1, 1, (44100, 2)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", wave, 44100, subtype="FLOAT")
    segment = Segment(start_s=0.1, end_s=0.9)
    at_once = readers.read(str(tmp_path / "a.wav"), segment).samples
    np.testing.assert_array_equal(at_once, wave[4410:39690].mean(axis=1))
    monkeypatch.setattr(sndfile, "_BLOCK_SAMPLES", 1000)
    np.testing.assert_array_equal(readers.read(str(tmp_path / "a.wav"), segment).samples, at_once)


def _decode_in_portions(path):
    portions.decode_in_portions(path, sample_rate=16000, begin=lambda: None, send=lambda samples: None)


class TestFetching:
    """A folder stands in for a bucket, and a named pipe in it for a download that hangs."""

    @pytest.fixture(autouse=True)
    def _bucket(self, tmp_path, monkeypatch):
        monkeypatch.setattr(epath, "Path", lambda url: tmp_path / url.removeprefix("gs://"))

    def test_the_path_of_a_local_file_is_returned(self):
        assert readers.fetch("/some/a.wav") == "/some/a.wav"

    @pytest.mark.parametrize("read", [readers.fetch, audio.decode_file, _decode_in_portions])
    def test_what_is_no_file_is_refused_and_never_opened(self, tmp_path, read):
        os.mkfifo(tmp_path / "a.wav")
        (tmp_path / "link.wav").symlink_to("a.wav")
        for path in (str(tmp_path / "a.wav"), str(tmp_path / "link.wav"), "/dev/zero"):
            with pytest.raises(audio.DecodeError, match="it is a pipe, a socket or a device, not a file") as caught:
                read(path)
            assert (caught.value.cause, caught.value.transient) == ("unreadable", False)

    def test_the_content_of_a_remote_file_is_returned(self, tmp_path):
        (tmp_path / "a.wav").write_bytes(b"sound")
        assert readers.fetch("gs://a.wav", timeout_s=10.0) == b"sound"

    @pytest.mark.parametrize(
        ("name", "cause", "message"),
        [
            ("nowhere.wav", "missing", "no such file"),
            ("folder", "unreadable", "IsADirectoryError"),
            ("pipe", "timed out", "not fetched after 0.1 s"),
        ],
    )
    def test_errors_name_cause_and_reason(self, tmp_path, name, cause, message):
        (tmp_path / "folder").mkdir()
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(audio.DecodeError, match=message) as caught:
            readers.fetch(f"gs://{name}", timeout_s=0.1)
        assert caught.value.cause == cause


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_all_sample_formats_and_channel_counts_decode(tmp_path, subtype, channels):
    wave = corpora.tone(amplitude=0.5)
    soundfile.write(tmp_path / "a.wav", np.stack([wave] * channels, axis=1), 16000, subtype=subtype)
    resolution = {"PCM_U8": 256, "ULAW": 1000}.get(subtype, 1)  # in steps of 16-bit PCM
    np.testing.assert_allclose(audio.decode_file(tmp_path / "a.wav"), wave * 32768, atol=resolution)


def test_values_above_full_scale_saturate(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([2.0, -2.0, 0.5]), 16000, subtype="FLOAT")
    np.testing.assert_array_equal(audio.decode_file(tmp_path / "a.wav"), [32767, -32768, 16384])


def test_a_segment_is_a_part_of_the_file(tmp_path):
    samples = np.arange(16000, dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 16000)
    np.testing.assert_array_equal(audio.decode_file(tmp_path / "a.wav", start_s=0.25, end_s=0.5), samples[4000:8000])
    np.testing.assert_array_equal(audio.decode_file(tmp_path / "a.wav", start_s=0.75, end_s=9.0), samples[12000:])


@pytest.mark.parametrize("suffix", corpora.FORMATS)
def test_every_format_decodes(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    corpora.write_format(path, seconds=1.0, hertz=500.0)
    decoded = audio.decode_file(path)
    assert decoded.size == pytest.approx(16000, abs=1500)
    spectrum = np.abs(np.fft.rfft(decoded[2000:10000]))
    assert np.argmax(spectrum) == 250  # 500 Hz in steps of 2 Hz
    assert audio.decode_file(path, start_s=0.5, end_s=0.75).size == pytest.approx(4000, abs=10)


class TestErrors:
    def assert_fails(self, path, cause):
        with pytest.raises(audio.DecodeError) as caught:
            audio.decode_file(path)
        assert caught.value.cause == cause
        assert str(caught.value)

    def test_missing_file(self, tmp_path):
        self.assert_fails(tmp_path / "a.wav", "missing")

    @pytest.mark.parametrize("content", [b"", b"RIFF", b"not audio at all" * 50, bytes(5000)])
    @pytest.mark.parametrize("suffix", ["wav", "ogg", "m4a", "mp3"])
    def test_unreadable_content(self, tmp_path, content, suffix):
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(content)
        with pytest.raises(audio.DecodeError) as caught:
            audio.decode_file(path)
        assert caught.value.cause in ("unreadable", "too short")

    def test_a_folder(self, tmp_path):
        self.assert_fails(tmp_path, "unreadable")

    def test_file_without_samples(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", np.zeros(0), 16000)
        self.assert_fails(tmp_path / "a.wav", "too short")

    def test_segment_beyond_the_end(self, tmp_path):
        corpora.write_tone(tmp_path / "a.wav")
        with pytest.raises(audio.DecodeError, match="no sample after 5 s"):
            audio.decode_file(tmp_path / "a.wav", start_s=5.0, end_s=6.0)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_non_finite_samples(self, tmp_path, bad):
        soundfile.write(tmp_path / "a.wav", np.array([0.0, bad, 0.0]), 16000, subtype="FLOAT")
        self.assert_fails(tmp_path / "a.wav", "non-finite")

    @pytest.mark.parametrize("suffix", ["wav", "aiff", "flac", "mp3", "m4a", "mp4", "webm"])
    def test_file_that_ends_before_its_header_says(self, tmp_path, suffix):
        path = tmp_path / f"a.{suffix}"
        corpora.write_format(path, seconds=3.0)
        corpora.cut_short(path)
        self.assert_fails(path, "truncated")
        assert audio.decode_file(path, start_s=0.2, end_s=0.7).size == pytest.approx(8000, abs=200)

    def test_header_of_unknown_length_is_no_error(self, tmp_path):
        """FFmpeg leaves such a header when it writes to a pipe, because it cannot go back to complete it."""
        path = tmp_path / "a.wav"
        corpora.write_tone(path)
        content = bytearray(path.read_bytes())
        for chunk in (b"RIFF", b"data"):
            start = content.index(chunk) + 4
            content[start : start + 4] = b"\xff\xff\xff\xff"
        path.write_bytes(content)
        assert audio.decode_file(path).size == 8000

    @pytest.mark.parametrize("rate", [1, 999])
    def test_impossible_sample_rate(self, tmp_path, rate):
        soundfile.write(tmp_path / "a.wav", corpora.tone(seconds=2.0), rate)
        self.assert_fails(tmp_path / "a.wav", "unreadable")
        with av.open(str(tmp_path / "a.mka"), "w") as container:
            stream = container.add_stream("pcm_s16le", rate=rate, layout="mono")
            frame = av.AudioFrame.from_ndarray(np.ones((1, 1000), np.int16), format="s16", layout="mono")
            frame.sample_rate = rate
            container.mux(stream.encode(frame))
        self.assert_fails(tmp_path / "a.mka", "unreadable")

    @pytest.mark.parametrize("samples", [2**33, 2**36 - 1])
    def test_header_that_promises_more_than_memory_holds(self, tmp_path, samples):
        path = tmp_path / "a.flac"
        corpora.write_tone(path)
        content = bytearray(path.read_bytes())
        content[21] = content[21] & 0xF0 | samples >> 32  # STREAMINFO's 36 bits for the number of samples
        content[22:26] = (samples & 0xFFFFFFFF).to_bytes(4, "big")
        path.write_bytes(content)
        self.assert_fails(path, "truncated")


class TestListedClip:
    def decode(self, path, *, min_seconds=0.1, min_peak_dbfs=None, **segment):
        rules = audio.Rules(min_seconds=min_seconds, min_peak_dbfs=min_peak_dbfs)
        return audio.decode_clip(str(path), sample_rate=16000, rules=rules, **segment)

    def cause(self, path, **parameters):
        with pytest.raises(audio.DecodeError) as caught:
            self.decode(path, **parameters)
        return caught.value.cause

    def test_the_clip_names_rate_and_codec_of_its_file(self, tmp_path):
        corpora.write_tone(tmp_path / "a.flac", sample_rate=44100)
        clip = self.decode(tmp_path / "a.flac")
        assert (clip.rate, clip.codec) == (44100, "flac/pcm_16")
        assert (clip.samples.dtype, clip.samples.shape) == ("int16", (8000,))
        corpora.write_format(tmp_path / "a.webm")
        clip = self.decode(tmp_path / "a.webm")
        assert (clip.rate, clip.codec) == (48000, "matroska/opus")

    @pytest.mark.parametrize(("trimmed", "seconds"), [(True, 1.5), (False, 1.0), (None, 1.5)])
    def test_a_file_hardly_longer_than_the_segment_is_read_whole_unless_it_is_the_recording(
        self, tmp_path, trimmed, seconds
    ):
        corpora.write_tone(tmp_path / "a.wav", seconds=1.5)
        clip = self.decode(tmp_path / "a.wav", start_s=0.25, end_s=1.25, trimmed=trimmed)
        assert clip.samples.size == 16000 * seconds

    @pytest.mark.parametrize("trimmed", [True, False, None])
    def test_less_than_half_of_the_segment_is_truncated(self, tmp_path, trimmed):
        corpora.write_tone(tmp_path / "a.wav", seconds=4.0)
        assert self.cause(tmp_path / "a.wav", start_s=0.0, end_s=10.0, trimmed=trimmed) == "truncated"
        assert self.decode(tmp_path / "a.wav", start_s=0.0, end_s=7.0, trimmed=trimmed).samples.size == 64000

    def test_a_segment_after_the_end_is_truncated(self, tmp_path):
        corpora.write_tone(tmp_path / "a.wav", seconds=4.0)
        assert self.cause(tmp_path / "a.wav", start_s=20.0, end_s=21.0, trimmed=False) == "truncated"

    def test_clips_below_the_minimum_length_are_too_short(self, tmp_path):
        corpora.write_tone(tmp_path / "a.wav", seconds=0.3)
        assert self.cause(tmp_path / "a.wav", min_seconds=0.4) == "too short"
        assert self.decode(tmp_path / "a.wav", min_seconds=0.3).samples.size == 4800

    def test_a_clip_without_samples_is_too_short_even_without_a_minimum(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", np.zeros(0), 16000)
        assert self.cause(tmp_path / "a.wav", min_seconds=0.0) == "too short"

    def test_silent_clips_are_refused(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", np.zeros(16000), 16000)
        assert self.cause(tmp_path / "a.wav") == "silent"
        corpora.write_tone(tmp_path / "b.wav", amplitude=10 ** (-50 / 20))
        assert self.decode(tmp_path / "b.wav").samples.size == 8000
        assert self.decode(tmp_path / "b.wav", min_peak_dbfs=-51.0).samples.size == 8000
        assert self.cause(tmp_path / "b.wav", min_peak_dbfs=-49.0) == "silent"
