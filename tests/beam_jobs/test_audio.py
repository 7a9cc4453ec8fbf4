import av
import numpy as np
import pytest
import soundfile

from beam_jobs import audio
from tests import corpora


def test_pcm16_at_the_target_rate_comes_through_bit_for_bit(tmp_path):
    samples = np.random.default_rng(0).integers(-32768, 32768, 5000).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 16000)
    np.testing.assert_array_equal(audio.decode(tmp_path / "a.wav"), samples)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_resampling_keeps_the_tone_and_its_timing(tmp_path, rate):
    corpora.write_tone(tmp_path / "a.wav", sample_rate=rate, seconds=1.0, hertz=1000.0)
    decoded = audio.decode(tmp_path / "a.wav") / 32768
    expected = corpora.tone(seconds=1.0, hertz=1000.0)
    assert decoded.size == 16000
    np.testing.assert_allclose(decoded[500:-500], expected[500:-500], atol=1e-3)


def test_what_the_new_rate_cannot_hold_is_filtered_out(tmp_path):
    corpora.write_tone(tmp_path / "a.wav", sample_rate=44100, seconds=1.0, hertz=12000.0)
    assert np.abs(audio.decode(tmp_path / "a.wav")[500:-500]).max() < 10


def test_channels_are_averaged(tmp_path):
    left, right = corpora.tone(hertz=300), corpora.tone(hertz=700)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 16000, subtype="FLOAT")
    expected = np.rint((left + right) / 2 * 32768)
    np.testing.assert_allclose(audio.decode(tmp_path / "a.wav"), expected, atol=1)


def test_values_beyond_full_scale_saturate(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([2.0, -2.0, 0.5]), 16000, subtype="FLOAT")
    np.testing.assert_array_equal(audio.decode(tmp_path / "a.wav"), [32767, -32768, 16384])


def test_a_segment(tmp_path):
    samples = np.arange(16000, dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 16000)
    np.testing.assert_array_equal(audio.decode(tmp_path / "a.wav", start_s=0.25, end_s=0.5), samples[4000:8000])
    np.testing.assert_array_equal(audio.decode(tmp_path / "a.wav", start_s=0.75, end_s=9.0), samples[12000:])


@pytest.mark.parametrize(("suffix", "codec"), [("m4a", "aac"), ("webm", "libopus")])
def test_what_libsndfile_cannot_open(tmp_path, suffix, codec):
    path = tmp_path / f"a.{suffix}"
    rate = 48000
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        wave = corpora.tone(seconds=1.0, sample_rate=rate, hertz=500.0).astype(np.float32)
        for start in range(0, wave.size, 960):
            frame = av.AudioFrame.from_ndarray(wave[None, start : start + 960], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    decoded = audio.decode(path)
    assert decoded.size == pytest.approx(16000, abs=1500)
    spectrum = np.abs(np.fft.rfft(decoded[2000:10000]))
    assert np.argmax(spectrum) == 250  # 500 Hz in steps of 2 Hz
    assert audio.duration_s(path) == pytest.approx(1.0, abs=0.1)
    assert audio.decode(path, start_s=0.5, end_s=0.75).size == pytest.approx(4000, abs=10)


class TestErrors:
    def check(self, path, cause):
        with pytest.raises(audio.DecodeError) as caught:
            audio.decode(path)
        assert caught.value.cause == cause
        assert str(caught.value)

    def test_missing(self, tmp_path):
        self.check(tmp_path / "a.wav", "missing")

    @pytest.mark.parametrize("content", [b"", b"RIFF", b"not audio at all" * 50, bytes(5000)])
    @pytest.mark.parametrize("suffix", ["wav", "ogg", "m4a", "mp3"])
    def test_unreadable(self, tmp_path, content, suffix):
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(content)
        with pytest.raises(audio.DecodeError) as caught:
            audio.decode(path)
        assert caught.value.cause in ("unreadable", "empty")

    def test_a_folder(self, tmp_path):
        self.check(tmp_path, "unreadable")

    def test_empty(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", np.zeros(0), 16000)
        self.check(tmp_path / "a.wav", "empty")

    def test_segment_beyond_the_end(self, tmp_path):
        corpora.write_tone(tmp_path / "a.wav")
        with pytest.raises(audio.DecodeError, match="no sample after 5 s"):
            audio.decode(tmp_path / "a.wav", start_s=5.0, end_s=6.0)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_non_finite(self, tmp_path, bad):
        soundfile.write(tmp_path / "a.wav", np.array([0.0, bad, 0.0]), 16000, subtype="FLOAT")
        self.check(tmp_path / "a.wav", "non-finite")
