import dataclasses

import av
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beam_jobs import audio
from beam_jobs.audio import portions, readers, sndfile
from beam_jobs.audio.sound import Segment
from tests import corpora
from tests.beam_jobs.audio import media

WHOLE_FILE = Segment()


def decode(path, segment=WHOLE_FILE, *, sample_rate=16000):
    """Returns the samples of a file that was decoded in portions, how many portions there were, and how many starts."""
    decoded, starts = [], []

    def begin():
        starts.append(True)
        decoded.clear()

    portions.decode_in_portions(str(path), segment, sample_rate=sample_rate, begin=begin, send=decoded.append)
    return np.concatenate(decoded), len(decoded), len(starts)


@pytest.fixture
def small_portions(monkeypatch):
    monkeypatch.setattr(portions, "_PORTION_SAMPLES", 1000)
    monkeypatch.setattr(sndfile, "_BLOCK_SAMPLES", 700)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    samples=st.integers(1, 9000),
    rate=st.sampled_from([8000, 11025, 16000, 44100, 96000]),
    channels=st.integers(1, 8),
    subtype=st.sampled_from(["PCM_16", "PCM_24", "FLOAT"]),
)
def test_portions_are_the_whole(tmp_path, small_portions, samples, rate, channels, subtype):
    noise = np.random.default_rng(samples).uniform(-1, 1, (samples, channels))
    soundfile.write(tmp_path / "a.wav", noise, rate, subtype=subtype)
    try:
        expected = audio.decode_file(tmp_path / "a.wav")
    except audio.DecodeError:
        assert round(samples * 16000 / rate) == 0
        with pytest.raises(audio.DecodeError, match="is shorter than one sample at 16,000 Hz") as caught:
            decode(tmp_path / "a.wav")
        assert caught.value.cause == "too short"
        return
    decoded, count, starts = decode(tmp_path / "a.wav")
    np.testing.assert_array_equal(decoded, expected)
    assert starts == 1
    assert count > samples // 2000


@pytest.mark.parametrize(("samples", "rate"), [(1, 44100), (2, 96000), (10, 384000)])
def test_what_resampling_leaves_nothing_of_is_too_short(tmp_path, samples, rate):
    soundfile.write(tmp_path / "a.wav", np.full(samples, 0.1), rate)
    with pytest.raises(audio.DecodeError, match="its sound is shorter than one sample at 16,000 Hz") as caught:
        decode(tmp_path / "a.wav")
    assert caught.value.cause == "too short"


@pytest.mark.parametrize("suffix", corpora.FORMATS)
def test_each_format_is_decoded_in_portions(tmp_path, small_portions, suffix):
    corpora.write_format(tmp_path / f"a.{suffix}", seconds=2.0)
    decoded, count, _ = decode(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(decoded, audio.decode_file(tmp_path / f"a.{suffix}"))
    assert count > 10


@pytest.mark.parametrize("is_long", [False, True])
@pytest.mark.parametrize("suffix", corpora.FORMATS)
def test_a_segment_of_each_format(tmp_path, small_portions, monkeypatch, suffix, is_long):
    monkeypatch.setattr(portions, "_SHORT_SEGMENT_S", 0.1 if is_long else 10.0)
    corpora.write_format(tmp_path / f"a.{suffix}", seconds=2.0)
    for start_s, end_s in ((0.0, 0.5), (0.7, 1.6), (1.5, 9.0)):
        decoded, _, _ = decode(tmp_path / f"a.{suffix}", Segment.listed(start_s, end_s, trimmed=False))
        expected = audio.decode_file(tmp_path / f"a.{suffix}", start_s=start_s, end_s=end_s)
        np.testing.assert_array_equal(decoded, expected)


def test_a_segment_behind_the_end_has_no_sample(tmp_path):
    corpora.write_tone(tmp_path / "a.wav")
    with pytest.raises(audio.DecodeError, match="no sample after 5 s"):
        decode(tmp_path / "a.wav", Segment.listed(5.0, 6.0, trimmed=False))


@pytest.mark.parametrize("suffix", corpora.FORMATS)
def test_a_file_that_was_cut_short_has_the_same_cause_as_at_once(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    corpora.write_format(path, seconds=5.0)
    corpora.cut_short(path)
    with pytest.raises(audio.DecodeError) as at_once:
        audio.decode_file(path)
    with pytest.raises(audio.DecodeError) as in_portions:
        decode(path)
    assert (in_portions.value.cause, str(in_portions.value)) == (at_once.value.cause, str(at_once.value))


@pytest.mark.parametrize("suffix", corpora.FORMATS)
def test_a_damaged_file_gives_the_same_as_at_once(tmp_path, small_portions, suffix):
    """A decoder may give up in the middle, and another one may start over."""
    path = tmp_path / f"a.{suffix}"
    corpora.write_format(path, seconds=20.0)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 3000] = bytes(3000)
    path.write_bytes(content)

    def outcome(decode_it):
        try:
            return decode_it().tolist()
        except audio.DecodeError as error:
            return error.cause, str(error)

    assert outcome(lambda: decode(path)[0]) == outcome(lambda: audio.decode_file(path))


def test_a_nan_in_a_late_portion_is_found(tmp_path, small_portions):
    wave = np.zeros(50_000, np.float32)
    wave[40_000] = np.nan
    soundfile.write(tmp_path / "a.wav", wave, 16000, subtype="FLOAT")
    with pytest.raises(audio.DecodeError, match="holds NaN or infinite samples") as caught:
        decode(tmp_path / "a.wav")
    assert caught.value.cause == "non-finite"


def test_a_file_that_claims_more_than_a_day_is_given_up(tmp_path, small_portions, monkeypatch):
    monkeypatch.setattr(portions, "_LONGEST_S", 60)
    soundfile.write(tmp_path / "bomb.flac", np.zeros(61 * 8000, np.int16), 8000)
    with pytest.raises(audio.DecodeError, match="h of sound; cut it into pieces") as caught:
        decode(tmp_path / "bomb.flac")
    assert caught.value.cause == "too long"


def test_an_impossible_rate_is_refused_before_it_is_resampled(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=10, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 10
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(audio.DecodeError, match="claims 10 samples a second"):
        decode(tmp_path / "a.mkv")


@pytest.mark.parametrize("keeps", [0, 1])
def test_what_a_reader_pieces_together_itself_is_complete(tmp_path, small_portions, monkeypatch, keeps):
    """A reader that collects elsewhere, or changes what it has collected, as one of joined files may."""
    path = tmp_path / "a.wav"
    corpora.write_tone(path, seconds=1.0)
    read = readers.read

    def read_and_join(source, segment=None):
        first = read(source, segment if segment and keeps else Segment())
        samples = np.concatenate([np.zeros(5000, np.float32), first.samples])
        return dataclasses.replace(first, samples=samples)

    monkeypatch.setattr(readers, "read", read_and_join)
    np.testing.assert_array_equal(decode(path)[0], audio.decode_file(path))


@pytest.mark.parametrize("rates", [(22050, 44100), (44100, 22050)])
def test_a_rate_that_changes(tmp_path, small_portions, rates):
    """The program stream of a film, in which FFmpeg itself finds the second part."""
    files = [media.encode(media.noise(1.0, rate=rate), container="mpeg", codec="mp2", rate=rate) for rate in rates]
    (tmp_path / "a.mpg").write_bytes(b"".join(files))
    np.testing.assert_array_equal(decode(tmp_path / "a.mpg")[0], audio.decode_file(tmp_path / "a.mpg"))
