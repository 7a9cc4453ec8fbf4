import concurrent.futures
import os
import signal

import numpy as np
import pytest
import soundfile
import soxr
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import diptych
from beam_jobs.audio.spool import Spool
from tests import corpora
from tests.processes import ctrl_c, decoders_of

RATE = 16000


@pytest.fixture(scope="module")
def served(exported):
    """The SavedModel itself, called without Diptych."""
    loaded = tf.saved_model.load(str(exported))
    return lambda samples: loaded.signatures["serving_default"](audio=tf.constant(samples[None]))["embedding"][
        0
    ].numpy()


def noise(samples, *, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, samples).astype(np.float32)


def assert_close(vector, expected, *, tolerance=1e-5):
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@settings(max_examples=20)
@given(samples=st.one_of(st.integers(1, 30), st.integers(1, 4 * RATE)))
def test_a_sound_of_any_length_has_the_vector_of_the_saved_model(embedder, served, samples):
    waveform = noise(samples, seed=samples)
    vector = embedder.embed(waveform, RATE)
    assert vector.shape == (embedder.dim,)
    assert_close(vector, served(waveform))


QUIET = np.round(noise(9000) * 2**15).astype(np.int16)  # As 16-bit files hold it.
MONO = QUIET / np.float32(2**15)


@pytest.mark.parametrize(
    "waveform",
    [
        QUIET,
        QUIET.astype(">i2"),
        QUIET.astype(np.int32) * 2**16,
        MONO.astype(np.float64),
        MONO.astype(">f4"),
        MONO.astype(np.longdouble),
        MONO.tolist(),
        MONO[:, None],
        np.repeat(MONO, 2)[::2],
        np.stack([MONO, MONO], axis=1),
        np.stack([QUIET, QUIET], axis=1),
        np.stack([MONO, 0 * MONO], axis=1) * 2,
        np.asfortranarray(np.stack([MONO] * 6, axis=1)),
    ],
)
def test_every_form_of_a_sound_has_the_same_vector(embedder, served, waveform):
    assert_close(embedder.embed(waveform, RATE), served(MONO))


@pytest.mark.parametrize(
    "waveform", [np.round(MONO * 127).astype(np.int8), np.round(MONO * 127 + 128).astype(np.uint8)]
)
def test_samples_of_8_bits(embedder, served, waveform):
    rounded = np.round(MONO * 127) / np.float32(128)
    assert_close(embedder.embed(waveform, RATE), served(rounded))


@pytest.mark.parametrize("rate", [8000, 11025, 22050.0, np.int64(44100), np.float32(48000)])
def test_other_rates_are_resampled_as_files_are(embedder, served, rate):
    waveform = corpora.tone(seconds=1.3, sample_rate=int(rate)).astype(np.float32)
    expected = served(soxr.resample(waveform, int(rate), RATE, quality="HQ"))
    assert_close(embedder.embed(waveform, rate), expected)
    assert_close(embedder.embed(np.stack([waveform, waveform], axis=1), rate), expected)


def test_a_tensor_is_a_sound(embedder, served):
    assert_close(embedder.embed(tf.constant(MONO), tf.constant(RATE)), served(MONO))


@pytest.mark.parametrize("shape", [(1, 8), (2, 8), (3, 64), (9, 1), (9, 2)])
def test_a_short_sound_of_several_channels_is_a_sound(embedder, shape):
    waveform = MONO[: shape[0], None] * np.ones(shape)
    assert_close(embedder.embed(waveform, RATE), embedder.embed(MONO[: shape[0]], RATE))


def test_a_masked_array_without_masked_samples_is_a_sound(embedder):
    np.testing.assert_array_equal(embedder.embed(np.ma.masked_greater(MONO, 2), RATE), embedder.embed(MONO, RATE))


def test_the_sound_that_is_given_stays_as_it_is(embedder):
    waveform = np.stack([MONO, MONO], axis=1)
    before = waveform.copy()
    embedder.embed(waveform, RATE)
    np.testing.assert_array_equal(waveform, before)


@pytest.mark.parametrize(
    ("waveform", "rate", "message"),
    [
        (np.zeros(0), RATE, "has no samples: give at least one"),
        (np.zeros((0, 2)), RATE, "has no samples"),
        (np.zeros((4, 0)), RATE, "has no samples"),
        (0.5, RATE, r"has the shape \(\): give one sound"),
        (np.zeros((2, 9, 1)), RATE, r"has the shape \(2, 9, 1\): give one sound"),
        (np.zeros((2, 8000)), RATE, r"has the shape \(2, 8000\), which would be 8,000 channels.*waveform\.T"),
        (np.zeros((2, 50)), RATE, r"has the shape \(2, 50\), which would be 50 channels.*waveform\.T"),
        (np.zeros((1, 9)), RATE, r"has the shape \(1, 9\), which would be 9 channels.*waveform\.T"),
        (
            np.ma.masked_greater(MONO, 0.4),
            RATE,
            r"has \d[\d,]* masked samples: fill them, e\.g\. waveform\.filled\(0\)",
        ),
        ([[0.1, 0.2], [0.3]], RATE, "is no array of numbers"),
        ("rain.wav", RATE, "is text: give its samples, or a path to `embed_file`"),
        (np.array(["a"]), RATE, "is no array of numbers, but an array of str32"),
        (MONO.astype(object), RATE, "is no array of numbers, but an array of object"),
        (None, RATE, r"is no array of numbers, but NoneType: give \(samples,\)"),
        (np.zeros(9, np.int64), RATE, r"is int64, of which the full scale is not known: give floating point"),
        (np.zeros(9, bool), RATE, "is bool"),
        (np.zeros(9, np.complex64), RATE, "is complex64"),
        (np.array([0.0, np.nan]), RATE, "holds NaN or infinite samples"),
        (np.array([0.0, -np.inf]), RATE, "holds NaN or infinite samples"),
        (np.array([0.0, 1e300]), RATE, r"up to 1e\+300, where full scale is 1; scale them to between -1 and 1\.$"),
        (np.array([0.0, 33.0]), RATE, r"up to 33, where full scale is 1; scale them to between -1 and 1\.$"),
        (1.0 * QUIET, RATE, "where full scale is 1; divide them by 32,768"),
        (np.stack([MONO, -MONO], axis=1), RATE, "its channels peak at -6 dBFS and cancel each other"),
        (np.zeros(1), 48000, "of 1 samples at 48,000 Hz is shorter than a sample at 16,000 Hz"),
        (MONO, 16, "sample_rate is 16, which no sound has: give it in Hz"),
        (MONO, 1e30, r"sample_rate is 1e\+30,"),
        (MONO, 0, "sample_rate is 0,"),
        (MONO, -16000, "sample_rate is -16000,"),
        (MONO, 44100.5, "sample_rate is 44100.5: give the number of samples a second"),
        (MONO, np.nan, "sample_rate is nan"),
        (MONO, np.inf, "sample_rate is inf"),
        (MONO, 10**400, "sample_rate is 10+: give"),
        (MONO, None, "sample_rate is None"),
        (MONO, "16000", "sample_rate is '16000'"),
        (MONO, True, "sample_rate is True"),
        (MONO, MONO, "sample_rate is array"),
    ],
)
def test_what_is_no_sound_is_refused_in_one_sentence(embedder, waveform, rate, message):
    for embed in (embedder.embed, embedder.frames):
        with pytest.raises(diptych.DiptychError, match=message) as caught:
            embed(waveform, rate)
        assert str(caught.value).endswith(".")
        assert isinstance(caught.value, ValueError)


def test_silence_has_a_finite_vector(embedder):
    assert np.isfinite(embedder.embed(np.zeros(RATE), RATE)).all()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for number, suffix in enumerate(corpora.FORMATS):
        corpora.write_format(folder / f"{number}.{suffix}", seconds=0.3 + 0.4 * number)
    return sorted(folder.iterdir())


def test_a_file_has_the_vector_of_its_samples(embedder, files, tmp_path):
    wav = files[0]
    np.testing.assert_array_equal(embedder.embed_file(wav), embedder.embed(*soundfile.read(wav)))
    stereo = noise((44100, 2))
    soundfile.write(tmp_path / "stereo.flac", stereo, 44100)
    assert_close(embedder.embed_file(str(tmp_path / "stereo.flac")), embedder.embed(stereo, 44100), tolerance=1e-3)


@pytest.mark.parametrize("batch", [1, 3, np.int64(64), 10**10])
def test_files_have_the_same_vectors_together(embedder, files, batch):
    vectors = embedder.embed_files(iter(files), batch=batch)
    assert vectors.shape == (len(files), embedder.dim)
    for path, vector in zip(files, vectors, strict=True):
        assert_close(vector, embedder.embed_file(path))
    assert embedder.embed_files([]).shape == (0, embedder.dim)


def test_files_that_cannot_be_decoded_cost_only_their_rows(embedder, files, tmp_path):
    (tmp_path / "page.wav").write_text("<html>")
    os.mkfifo(tmp_path / "pipe.wav")
    corpora.write_format(tmp_path / "cut.flac", seconds=5.0)
    corpora.cut_short(tmp_path / "cut.flac")
    bad = [tmp_path / name for name in ("page.wav", "pipe.wav", "cut.flac", "gone.wav", "")]
    failed = {}
    vectors = embedder.embed_files([*bad, files[0]], on_error=failed.__setitem__)
    assert np.isnan(vectors[:-1]).all()
    np.testing.assert_array_equal(vectors[-1], embedder.embed_file(files[0]))
    assert list(failed) == [str(path) for path in bad]
    for path in bad:
        with pytest.raises(diptych.DiptychError) as caught:
            embedder.embed_file(path)
        assert str(caught.value) == str(failed[str(path)])
        assert str(caught.value).startswith(f"{path} cannot be embedded: ")
    with pytest.raises(diptych.DiptychError, match=r"page\.wav cannot be embedded"):
        embedder.embed_files([files[0], bad[0]])
    with pytest.raises(FileNotFoundError, match=r"gone\.wav cannot be embedded: no such file"):
        embedder.embed_files([bad[3]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.wav"], "paths is one path, 'a.wav': give a list, or call `embed_file`"),
        ([[MONO]], "given as ndarray: give its path; `embed` takes samples"),
        ([[], 0], "batch is 0"),
        ([[], True], "batch is True"),
        ([[], 2.0], "batch is 2.0"),
    ],
)
def test_arguments_that_are_no_files_are_refused(embedder, arguments, message):
    paths, *batch = arguments
    with pytest.raises(diptych.DiptychError, match=message):
        embedder.embed_files(paths, **({"batch": batch[0]} if batch else {}))


@pytest.mark.parametrize("path", ["a\0.wav", "\ud800.wav"])
def test_a_path_that_no_file_can_have_costs_its_own_row(embedder, files, path):
    with pytest.raises(diptych.MissingError, match="no file can have that path"):
        embedder.embed_file(path)
    failed = {}
    vectors = embedder.embed_files([path, files[0]], on_error=failed.__setitem__)
    assert list(failed) == [path]
    assert np.isnan(vectors[0]).all()
    assert_close(vectors[1], embedder.embed_file(files[0]))


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("", diptych.MissingError, "'' cannot be embedded: no such file, because the path is empty."),
        (".", diptych.DiptychError, ". cannot be embedded: it is a folder, not a file; give the files in it."),
    ],
)
def test_a_folder_or_an_empty_path_is_one_sentence(embedder, files, path, kind, message):
    failed = {}
    embedder.embed_files([path, files[0]], on_error=failed.__setitem__)
    with pytest.raises(diptych.DiptychError) as caught:
        embedder.embed_file(path)
    for error in (caught.value, failed[path]):
        assert (type(error), str(error)) == (kind, message)


def test_threads_share_an_embedder(embedder, files):
    sounds = [noise(9000 + number, seed=number) for number in range(40)]
    of_sounds = [embedder.embed(sound, 44100) for sound in sounds]
    of_files = [embedder.embed_file(path) for path in files]
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        again = [threads.submit(embedder.embed_file, path) for path in files * 3]
        at_once = threads.map(lambda sound: embedder.embed(sound, 44100), sounds)
        together = threads.submit(embedder.embed_files, files[:3])
        np.testing.assert_array_equal(list(at_once), of_sounds)
        np.testing.assert_array_equal([vector.result() for vector in again], of_files * 3)
        assert_close(together.result(), np.stack(of_files[:3]))


def test_no_decoder_outlives_its_embedder(exported, files):
    before = decoders_of(os.getpid())
    own = diptych.load(exported)
    own.embed_file(files[0])
    own.embed_file(files[1])
    assert len(decoders_of(os.getpid())) == len(before) + 1
    del own
    assert decoders_of(os.getpid()) == before


def test_after_ctrl_c_in_a_file_the_next_one_has_its_own_vector(tmp_path, embedder, files, monkeypatch):
    long = corpora.write_silence(tmp_path / "long.wav", hours=0.1)
    append = Spool.append

    def interrupted(spool, samples):
        append(spool, samples)
        if samples.size:
            signal.raise_signal(signal.SIGINT)

    expected = embedder.embed_file(files[0])
    with monkeypatch.context() as patch:
        patch.setattr(Spool, "append", interrupted)
        with ctrl_c(), pytest.raises(KeyboardInterrupt):
            embedder.embed_file(long)
    np.testing.assert_array_equal(embedder.embed_file(files[0]), expected)
