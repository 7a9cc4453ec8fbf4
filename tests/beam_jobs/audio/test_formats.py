"""Decodes every format that sources may have, and compares the result with the signal that was encoded."""

import av
import numpy as np
import pytest
import soundfile

from beam_jobs import audio

RATE = 16000
# Suffix -> the encoder and the sample format with which PyAV writes such a file.
AV_CODECS = {
    "m4a": ("aac", "fltp"),
    "mp4": ("aac", "fltp"),
    "webm": ("libopus", "flt"),
    "mka": ("flac", "s16"),
    "opus": ("libopus", "flt"),
    "mp3": ("libmp3lame", "fltp"),
}
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
COMPRESSED = [
    *[("m4a", 8000), ("m4a", 44100), ("m4a", 96000), ("mp4", 48000), ("webm", 48000), ("webm", 16000), ("mka", 44100)],
    *[("opus", 48000), ("opus", 8000), ("ogg", 22050), ("ogg", 44100), ("mp3", 16000), ("mp3", 44100)],
]


def write(path, wave, rate):
    """Writes a wave of shape (samples, channels) in [-1, 1]. An mp4 also gets a video stream."""
    if path.suffix == ".ogg":
        soundfile.write(path, wave, rate, subtype="VORBIS")
        return
    codec, sample_format = AV_CODECS[path.suffix[1:]]
    with av.open(str(path), "w") as container:
        layout = LAYOUTS[wave.shape[1]]
        stream = container.add_stream(codec, rate=rate, layout=layout, format=sample_format)
        if path.suffix == ".mp4":
            video = container.add_stream("mpeg4", rate=5, width=64, height=64, pix_fmt="yuv420p")
            for _ in range(5):
                container.mux(video.encode(av.VideoFrame(64, 64, "yuv420p")))
            container.mux(video.encode(None))
        convert = av.AudioResampler(format=sample_format, layout=layout, rate=rate)
        for start in range(0, len(wave), 960):
            block = np.ascontiguousarray(wave[start : start + 960].T, np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.sample_rate, frame.pts = rate, start
            for converted in convert.resample(frame):
                container.mux(stream.encode(converted))
        container.mux(stream.encode(None))


def sine(*, seconds, rate, hertz, amplitude):
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def read_tone(samples):
    """Returns the frequency in Hz and the amplitude of the loudest sine in the middle half of int16 samples.

    The peak of the spectrum is interpolated by a parabola through the logarithms of three bins.
    """
    middle = samples[samples.size // 4 :][: samples.size // 2] / 32768
    window = np.hanning(middle.size)
    spectrum = np.abs(np.fft.rfft(middle * window)) * 2 / window.sum()
    peak = int(np.argmax(spectrum))
    a, b, c = np.log(spectrum[peak - 1 : peak + 2] + 1e-12)
    shift = (a - c) / (2 * (a - 2 * b + c))
    return (peak + shift) * RATE / middle.size, np.exp(b - (a - c) * shift / 4)


@pytest.mark.parametrize("channels", range(1, 7))
@pytest.mark.parametrize(
    ("suffix", "subtype", "bits"),
    [
        ("wav", "PCM_U8", 8),
        ("wav", "PCM_16", 16),
        ("wav", "PCM_24", 24),
        ("wav", "PCM_32", 32),
        ("flac", "PCM_S8", 8),
        ("flac", "PCM_16", 16),
        ("flac", "PCM_24", 24),
        ("aiff", "PCM_S8", 8),
        ("w64", "PCM_16", 16),
        ("caf", "PCM_24", 24),
    ],
)
def test_lossless_integer_formats(tmp_path, suffix, subtype, bits, channels):
    values = np.random.default_rng(bits + channels).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (2000, channels))
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, (values << (32 - bits)).astype(np.int32), RATE, subtype=subtype)
    decoded = audio.decode_file(path)
    exact = np.clip(values.mean(axis=1) * 2.0 ** (16 - bits), -32768, 32767)
    assert decoded.size == 2000
    if channels == 1 and bits <= 16:
        np.testing.assert_array_equal(decoded, exact)
    else:
        assert np.abs(decoded - exact).max() <= 0.51


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_floats_beyond_full_scale_saturate(tmp_path, subtype, channels):
    values = np.random.default_rng(0).uniform(-1.5, 1.5, (2000, channels))
    soundfile.write(tmp_path / "a.wav", values, RATE, subtype=subtype)
    exact = np.clip(values.mean(axis=1) * 32768, -32768, 32767)
    assert np.abs(audio.decode_file(tmp_path / "a.wav") - exact).max() <= 0.51


@pytest.mark.parametrize("subtype", ["ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM"])
def test_compressed_wav(tmp_path, subtype):
    wave = sine(seconds=1.0, rate=8000, hertz=440.0, amplitude=0.3)
    soundfile.write(tmp_path / "a.wav", wave, 8000, subtype=subtype)
    decoded = audio.decode_file(tmp_path / "a.wav")
    assert decoded.size == pytest.approx(RATE, abs=2200)  # ADPCM pads its last block.
    assert read_tone(decoded) == (pytest.approx(440.0, abs=0.5), pytest.approx(0.3, rel=0.02))


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 22050, 24000, 32000, 37800, 44100, 48000, 96000, 192000])
def test_any_sample_rate(tmp_path, rate):
    wave = sine(seconds=1.0, rate=rate, hertz=1000.0, amplitude=0.5)
    soundfile.write(tmp_path / "a.wav", wave, rate)
    decoded = audio.decode_file(tmp_path / "a.wav")
    expected = sine(seconds=1.0, rate=RATE, hertz=1000.0, amplitude=0.5) * 32768
    assert decoded.size == pytest.approx(RATE, abs=1)
    error = (decoded[:RATE] - expected[: decoded.size])[200:-200]
    assert np.abs(error).max() < 0.001 * 32768


@pytest.mark.parametrize(
    ("suffix", "rate", "channels"),
    [(*kind, channels) for channels in (1, 2, 6) for kind in COMPRESSED if channels < 3 or kind[0] != "mp3"],
)
def test_a_tone_survives_compression(tmp_path, suffix, rate, channels):
    # Only the first channel has the tone, because one channel of 5.1 is a subwoofer. Averaging divides its amplitude.
    wave = np.zeros((2 * rate, channels))
    wave[:, 0] = sine(seconds=2.0, rate=rate, hertz=700.0, amplitude=0.6)
    write(tmp_path / f"a.{suffix}", wave, rate)
    decoded = audio.decode_file(tmp_path / f"a.{suffix}")
    hertz, amplitude = read_tone(decoded)
    assert decoded.size / RATE == pytest.approx(2.0, abs=0.06)
    assert hertz == pytest.approx(700.0, abs=1.0)
    assert amplitude == pytest.approx(0.6 / channels, rel=0.06)


@pytest.mark.parametrize("suffix", [*AV_CODECS, "ogg"])
def test_a_segment_of_a_compressed_file_is_cut_at_the_right_place(tmp_path, suffix):
    wave = np.zeros((3 * 48000, 1))
    wave[72000:, 0] = sine(seconds=1.5, rate=48000, hertz=700.0, amplitude=0.6)
    write(tmp_path / f"a.{suffix}", wave, 48000)
    decoded = audio.decode_file(tmp_path / f"a.{suffix}", start_s=1.0, end_s=2.0)
    onset = int(np.argmax(np.abs(decoded) > 0.1 * 32768)) / RATE
    assert decoded.size == RATE
    assert onset == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(("suffix", "subtype"), [("ogg", "VORBIS"), ("ogg", "OPUS"), ("mp3", "MPEG_LAYER_III")])
def test_compressed_formats_that_libsndfile_writes(tmp_path, suffix, subtype):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, sine(seconds=2.0, rate=48000, hertz=700.0, amplitude=0.6), 48000, subtype=subtype)
    decoded = audio.decode_file(path)
    assert decoded.size / RATE == pytest.approx(2.0, abs=0.1)
    assert read_tone(decoded) == (pytest.approx(700.0, abs=1.0), pytest.approx(0.6, rel=0.05))


@pytest.mark.parametrize("name", ["a.MP3", "a.Wav", "a.wav.bak", "a"])
def test_the_format_is_recognized_by_the_content_and_not_by_the_name(tmp_path, name):
    write(tmp_path / "a.m4a", sine(seconds=1.0, rate=44100, hertz=700.0, amplitude=0.6)[:, None], 44100)
    (tmp_path / "a.m4a").rename(tmp_path / name)
    assert read_tone(audio.decode_file(tmp_path / name))[0] == pytest.approx(700.0, abs=1.0)
