import contextlib
import io
import struct

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs import audio
from beam_jobs.audio import pcm
from components.exporter import wav, wav_header

RATE = 16000
PCM_GUID = bytes.fromhex("000000001000800000aa00389b71")


@tf.function(input_signature=[tf.TensorSpec((None,), tf.string)], autograph=False)
def _read(files):
    clips, given = wav.read(files, sample_rate=RATE)
    return clips.samples, clips.lengths, given


def _sounds(*files):
    """Returns the sound of each file, float32 (samples,)."""
    samples, lengths, given = _read(tf.constant(files, tf.string))
    assert given == len(files)
    return np.split(samples.numpy(), np.cumsum(lengths)[:-1])


def _encoded(samples, *, subtype="PCM_16", rate=RATE, form="WAV"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


def _decoded(file):
    """Returns the mean of the channels as soundfile decodes them."""
    samples, _ = soundfile.read(io.BytesIO(file), dtype="float64", always_2d=True)
    return samples.mean(axis=1)


def _noise(frames, channels=1, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (frames, channels))


def _chunk(name, content):
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _riff(*chunks, name=b"RIFF"):
    content = b"WAVE" + b"".join(chunks)
    return name + struct.pack("<I", len(content)) + content


def _format(encoding=1, channels=1, rate=RATE, sample_bytes=2, bits=None, extra=b""):
    frame = channels * sample_bytes
    bits = 8 * sample_bytes if bits is None else bits
    return _chunk(b"fmt ", struct.pack("<HHIIHH", encoding, channels, rate, frame * rate % 2**32, frame, bits) + extra)


SAMPLES = np.arange(-500, 500, dtype="<i2")
DATA = _chunk(b"data", SAMPLES.tobytes())


@pytest.mark.parametrize("form", ["WAV", "WAVEX", "RF64"])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_every_depth_is_read_as_soundfile_reads_it(subtype, channels, form):
    file = _encoded(_noise(1001, channels), subtype=subtype, form=form)
    (sound,) = _sounds(file)
    np.testing.assert_allclose(sound, _decoded(file), atol=1e-6)


@pytest.mark.parametrize(
    "file",
    [
        _riff(_format(), DATA),
        _riff(_chunk(b"LIST", b"odd"), _format(), _chunk(b"fact", b"1234"), DATA, _chunk(b"id3 ", b"behind")),
        _riff(_format(0xFFFE, extra=struct.pack("<HHIH", 22, 16, 4, 1) + PCM_GUID), DATA),
        _riff(_format(extra=b"\0\0"), DATA),
        _riff(_format(bits=12), DATA),
        _riff(_format(), DATA)[:-8] + SAMPLES[-4:].tobytes(),
        _riff(_format(), b"data\xff\xff\xff\xff" + SAMPLES.tobytes()),
        _riff(
            _chunk(b"ds64", struct.pack("<QQQI", 0, 2000, 1000, 0)),
            _format(),
            b"data\xff\xff\xff\xff" + SAMPLES.tobytes(),
            _chunk(b"LIST", b"behind the samples"),
            name=b"RF64",
        ),
        _riff(_format(), _chunk(b"data", SAMPLES.tobytes() + b"?")),
        _riff(_format(), b"data\0\0\0\0") + SAMPLES.tobytes(),
        b"RIFF\0\0\0\0WAVE" + _format() + b"data\0\0\0\0" + SAMPLES.tobytes(),
        b"RF64\xff\xff\xff\xffWAVE"
        + _chunk(b"ds64", bytes(28))
        + _format()
        + b"data\xff\xff\xff\xff"
        + SAMPLES.tobytes(),
    ],
    ids=[
        "plain",
        "chunks",
        "extensible",
        "long format",
        "12 bits",
        "same",
        "piped",
        "large",
        "half a sample",
        "killed",
        "killed before any length",
        "killed while large",
    ],
)
def test_other_chunks_and_lengths_are_understood(file):
    np.testing.assert_array_equal(_sounds(file)[0], SAMPLES / np.float32(2**15))


def test_a_file_that_was_cut_off_gives_the_sound_that_it_holds():
    file = _riff(_format(), DATA)[:-1001]
    np.testing.assert_array_equal(_sounds(file)[0], SAMPLES[:499] / np.float32(2**15))


def test_a_chunk_behind_no_samples_is_not_taken_for_them():
    file = _riff(_format(), _chunk(b"data", b""), _chunk(b"LIST", b"behind"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="has no samples"):
        _sounds(file)


@settings(max_examples=25, deadline=None)
@given(
    clips=st.lists(
        st.tuples(
            st.integers(1, 5000),
            st.integers(1, 4),
            st.sampled_from(["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"]),
            st.sampled_from([8000, 16000, 44100]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_file_is_read_in_a_batch_as_it_is_alone(clips):
    files = [
        _encoded(_noise(frames, channels, seed=frames), subtype=subtype, rate=rate)
        for frames, channels, subtype, rate in clips
    ]
    for file, sound in zip(files, _sounds(*files), strict=True):
        np.testing.assert_array_equal(sound, _sounds(file)[0])


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_beyond_full_scale_a_file_is_cut_off_as_the_decoder_does(subtype, rate, tmp_path):
    sine = np.sin(2 * np.pi * 300 * np.arange(rate // 2) / rate)
    # The second is within full scale in the mean of its channels alone.
    for name, samples in {"loud": 3 * sine, "one": np.stack([1.5 * sine, -0.5 * sine], axis=1)}.items():
        file = _encoded(samples, subtype=subtype, rate=rate)
        (tmp_path / f"{name}.wav").write_bytes(file)
        (sound,) = _sounds(file)
        np.testing.assert_allclose(sound, pcm.to_float(audio.decode_file(tmp_path / f"{name}.wav")), atol=2e-3)
        assert np.abs(sound).max() == pytest.approx(1.0 if name == "loud" else 0.5, abs=1e-3)


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize(("largest", "is_refused"), [(31.0, False), (33.0, True), (1e5, True)])
def test_far_beyond_full_scale_a_file_is_refused_as_the_decoder_does(rate, largest, is_refused, tmp_path):
    # Faded, because resampling overshoots at an edge.
    file = _encoded(largest * np.hanning(2 * rate), subtype="FLOAT", rate=rate)
    (tmp_path / "loud.wav").write_bytes(file)
    refusals = contextlib.nullcontext(), contextlib.nullcontext()
    if is_refused:
        message = r"index\] \[1\] \[of the batch holds samples far beyond full scale, which is 1; scale them"
        refusals = (
            pytest.raises(tf.errors.InvalidArgumentError, match=message),
            pytest.raises(audio.DecodeError, match="holds samples up to"),
        )
    with refusals[0]:
        _sounds(_riff(_format(), DATA), file)
    with refusals[1]:
        audio.decode_file(tmp_path / "loud.wav")


def test_an_empty_batch_is_one_silent_sample_that_is_dropped():
    samples, lengths, given = _read(tf.zeros((0,), tf.string))
    assert (samples.numpy().tolist(), lengths.numpy().tolist(), int(given)) == ([0.0], [1], 0)


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (b"", "is no WAV file, which begins with RIFF and WAVE"),
        (b"RIFF", "is no WAV file"),
        (b"fLaC" + bytes(100), "is no WAV file"),
        (_riff(_format(), DATA)[:30], "has no chunk fmt that is followed by a chunk data"),
        (_riff(DATA, _format()), "has no chunk fmt that is followed by a chunk data"),
        (_riff(*[_chunk(b"junk", b"")] * 1001, _format(), DATA), "has no chunk fmt"),
        (
            _riff(_format(encoding=6, sample_bytes=1), DATA),
            r"is stored neither as PCM .* bytes per sample\] \[6\] \[1\] \[1\]",
        ),
        (_riff(_format(sample_bytes=8), DATA), r".*bytes per sample\] \[1\] \[1\] \[8\]"),
        (_riff(_format(encoding=3), DATA), r".*bytes per sample\] \[3\] \[1\] \[2\]"),
        (_riff(_format(channels=0), DATA), "has no channels"),
        (_riff(_chunk(b"fmt ", struct.pack("<HHIIHH", 1, 0, 16000, 32000, 2, 16)), DATA), "has no channels"),
        (
            _riff(_format(rate=3999), DATA),
            r"has a sample rate that is neither 16000 Hz nor from 4000 to 384000 Hz\] \[3999",
        ),
        (_riff(_format(rate=2**32 - 1), DATA), r".*384000 Hz\] \[4294967295"),
        (_riff(_format(rate=44101), DATA), r"has a sample rate in no simple ratio to 16000 Hz; resample it first"),
        (_riff(_format(), _chunk(b"data", b"")), "has no samples"),
        (_riff(_format(), _chunk(b"data", b"1")), "has no samples"),
    ],
)
def test_what_cannot_be_read_is_named(file, problem):
    good = _riff(_format(), DATA)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=rf"wav_bytes: the file with the index\] \[1\] \[of the batch {problem}"
    ):
        _sounds(good, file)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_damage_is_an_error_or_a_sound_of_bounded_length(data):
    file = bytearray(_riff(_format(), _chunk(b"LIST", b"abc"), DATA))
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(0, 70))] = data.draw(st.integers(0, 255))
    file = bytes(file[: data.draw(st.integers(0, len(file)))])
    with contextlib.suppress(tf.errors.InvalidArgumentError):  # Any other error fails the test, and so would a crash.
        assert 1 <= _sounds(file)[0].size <= 4 * 2100


def test_the_number_of_dimensions_is_said():
    function = _read.get_concrete_function()
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"wav_bytes must have one dimension, \(batch,\)"):
        function(tf.constant(b"RIFF"))


def test_a_file_that_is_written_here_is_read_by_soundfile():
    samples = (2**15 * _noise(100, 3) * 0.9).astype(np.int16)
    decoded, rate = soundfile.read(io.BytesIO(wav.encode(samples, rate=8000)), dtype="int16")
    np.testing.assert_array_equal(decoded, samples)
    assert rate == 8000
    assert wav_header.LOWEST_RATE <= 8000
