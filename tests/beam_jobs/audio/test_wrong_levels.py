"""Sound that cannot be stored as it is, although it is no silence: out of range, or with channels that cancel."""

import av
import numpy as np
import pytest
import soundfile

from beam_jobs import audio
from beam_jobs.audio import portions, resample
from tests import corpora

RATE = 16000
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 2 * RATE)


def failure(path, **segment):
    """Returns cause and message, which are the same in ingest and when files are embedded."""
    failures = []
    for decode in (
        lambda: audio.decode_file(path, **segment),
        lambda: audio.decode_clip(str(path), sample_rate=RATE, rules=audio.Rules(), trimmed=False, **segment),
    ):
        with pytest.raises(audio.DecodeError) as caught:
            decode()
        failures.append((caught.value.cause, str(caught.value)))
    assert failures[0] == failures[1]
    return failures[0]


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize(
    ("full_scale", "bits"), [(32767, 15), (12000, 15), (100, 15), (2**23 - 1, 23), (0.9 * 2**31, 31)]
)
def test_floats_in_the_range_of_integers_are_out_of_range(tmp_path, subtype, full_scale, bits):
    soundfile.write(tmp_path / "a.wav", 2 * NOISE * full_scale, RATE, subtype=subtype)
    cause, message = failure(tmp_path / "a.wav")
    assert cause == "out of range"
    assert message.endswith(f"where full scale is 1; divide them by {2**bits:,}")
    assert failure(tmp_path / "a.wav", start_s=0.5, end_s=1.0)[0] == "out of range"


@pytest.mark.parametrize(
    ("largest", "shown"), [(33.0, "33"), (63.0, "63"), (2.0**32, "4,294,967,296"), (1e300, "1e+300")]
)
def test_what_no_integers_would_be_is_not_said_to_be(largest, shown):
    with pytest.raises(audio.DecodeError) as caught:
        resample.check_range(largest)
    message = f"holds samples up to {shown}, where full scale is 1; scale them to between -1 and 1"
    assert (caught.value.cause, str(caught.value)) == ("out of range", message)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 96000])
@pytest.mark.parametrize(("bad", "cause"), [(np.nan, "non-finite"), (-np.inf, "non-finite"), (1e30, "out of range")])
def test_one_sample_anywhere_is_found(tmp_path, rate, bad, cause):
    for at in (0, 12345, -1):
        wave = np.zeros(rate)
        wave[at % rate] = bad
        soundfile.write(tmp_path / "a.wav", wave, rate, subtype="FLOAT")
        assert failure(tmp_path / "a.wav")[0] == cause


def test_floats_of_a_format_that_only_ffmpeg_reads(tmp_path):
    with av.open(str(tmp_path / "a.mka"), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=RATE, layout="mono")
        block = (20000 * NOISE[None]).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="flt", layout="mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
    assert failure(tmp_path / "a.mka")[0] == "out of range"


@pytest.mark.parametrize("peak", [1.0, 4.0, 31.0])
def test_a_recording_above_full_scale_saturates(tmp_path, peak):
    soundfile.write(tmp_path / "a.wav", 2 * NOISE * peak, RATE, subtype="FLOAT")
    expected = np.clip(np.rint(2 * NOISE * peak * 32768), -32768, 32767)
    assert np.abs(audio.decode_file(tmp_path / "a.wav") - expected).max() <= 1


def write_lossy(path, codec, sample_format, wave):
    """Writes a wave of shape (2, samples) at 48 kHz."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48000, layout="stereo", format=sample_format, options={"b": "256k"})
        for start in range(0, wave.shape[1], 960):
            block = wave[:, start : start + 960].astype(np.float32)
            block = block if sample_format == "fltp" else block.T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format=sample_format, layout="stereo")
            frame.sample_rate, frame.pts = 48000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


class TestOppositePhase:
    @pytest.mark.parametrize("signs", [(1, -1), (-1, 1), (0, 0, 1, -1), (1, -0.5, -0.5)])
    @pytest.mark.parametrize("form", [("wav", "PCM_16"), ("wav", "FLOAT"), ("flac", "PCM_16"), ("aiff", "PCM_24")])
    def test_channels_that_cancel_are_named(self, tmp_path, signs, form):
        path = tmp_path / f"a.{form[0]}"
        wave = np.rint(NOISE * 2**14) / 2**14  # Half of it has 16 bits, too.
        soundfile.write(path, np.stack([sign * wave for sign in signs], axis=1), RATE, subtype=form[1])
        message = "its channels peak at -6 dBFS and cancel each other; invert one of them"
        assert failure(path) == ("opposite phase", message)
        assert failure(path, start_s=0.5, end_s=1.0)[0] == "opposite phase"

    @pytest.mark.parametrize(
        ("name", "codec", "sample_format"),
        [("a.mp3", "libmp3lame", "fltp"), ("a.m4a", "aac", "fltp"), ("a.webm", "libopus", "flt")],
    )
    def test_channels_that_cancel_in_lossy_formats(self, tmp_path, name, codec, sample_format):
        tone = corpora.tone(seconds=2.0, sample_rate=48000, amplitude=0.4)
        write_lossy(tmp_path / name, codec, sample_format, np.stack([tone, -tone]))
        assert failure(tmp_path / name)[0] == "opposite phase"

    @pytest.mark.parametrize(("rate", "hz"), [(384000, 40000), (192000, 30000), (48000, 20000)])
    @pytest.mark.parametrize("channels", [1, 2])
    def test_what_resampling_leaves_nothing_of_is_no_such_case(self, tmp_path, rate, hz, channels):
        call = 0.5 * np.sin(2 * np.pi * hz / rate * np.arange(rate)) * np.hanning(rate)
        soundfile.write(tmp_path / "bat.flac", np.stack([call] * channels, axis=1), rate)
        assert audio.decode_file(tmp_path / "bat.flac").size == RATE
        portions.decode_in_portions(
            str(tmp_path / "bat.flac"), sample_rate=RATE, begin=lambda: None, send=lambda samples: None
        )
        soundfile.write(tmp_path / "bat.flac", np.stack([call, -call], axis=1), rate)
        assert failure(tmp_path / "bat.flac")[0] == "opposite phase"

    def test_what_they_have_in_common_beyond_the_sample_rate_does_not_hide_it(self, tmp_path):
        times = np.arange(2 * 48000) / 48000
        sound, pilot = 0.3 * np.sin(2 * np.pi * 440 * times), 0.01 * np.sin(2 * np.pi * 19000 * times)
        soundfile.write(tmp_path / "a.wav", np.stack([pilot + sound, pilot - sound], axis=1), 48000)
        assert failure(tmp_path / "a.wav")[0] == "opposite phase"
        with pytest.raises(audio.DecodeError, match="cancel each other"):
            portions.decode_in_portions(
                str(tmp_path / "a.wav"), sample_rate=RATE, begin=lambda: None, send=lambda samples: None
            )

    @pytest.mark.parametrize("channels", [1, 2])
    def test_silence_of_all_channels_is_silence(self, tmp_path, channels):
        soundfile.write(tmp_path / "a.wav", np.zeros((RATE, channels)), RATE)
        with pytest.raises(audio.DecodeError, match="digital silence"):
            audio.decode_clip(str(tmp_path / "a.wav"), sample_rate=RATE, rules=audio.Rules())
        assert not audio.decode_file(tmp_path / "a.wav").any()

    @pytest.mark.parametrize("level", [1.0, 10**-3.1])
    def test_unrelated_channels_are_no_such_case(self, tmp_path, level):
        soundfile.write(tmp_path / "a.wav", level * np.stack([NOISE, NOISE[::-1]], axis=1), RATE)
        assert audio.decode_file(tmp_path / "a.wav").any()

    def test_half_of_a_recording_may_cancel(self, tmp_path):
        corpora.write_tone(tmp_path / "a.wav", seconds=1.0)
        tone = soundfile.read(tmp_path / "a.wav")[0]
        sides = np.stack([np.concatenate([tone, tone]), np.concatenate([tone, -tone])], axis=1)
        soundfile.write(tmp_path / "a.wav", sides, RATE)
        assert audio.decode_file(tmp_path / "a.wav").any()
        assert failure(tmp_path / "a.wav", start_s=1.0, end_s=2.0)[0] == "opposite phase"
