import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs.embedding import windows
from beam_jobs.embedding.embedder import Framing
from tests.beam_jobs.embedding.toy_embedder import ToyEmbedder, slow_vectors

SOUNDS = st.lists(st.integers(1, 60), max_size=12)
FRAMINGS = st.builds(
    lambda window, hop: Framing(sample_rate=16000, window_samples=window, hop_samples=min(hop, window)),
    st.integers(1, 20),
    st.integers(1, 20),
)


class CountingEmbedder(ToyEmbedder):
    """Keeps the sizes of its batches."""

    def __init__(self, framing):
        super().__init__(framing)
        self.batches = []

    def embed(self, windows):
        self.batches.append(len(windows))
        return super().embed(windows)


def sounds_of(lengths):
    rng = np.random.default_rng(len(lengths))
    return [rng.integers(-32768, 32767, length).astype(np.int16) for length in lengths]


@given(lengths=SOUNDS, framing=FRAMINGS, batch_size=st.integers(1, 9))
def test_every_window_is_embedded_once_in_order_and_batches_are_full(lengths, framing, batch_size):
    sounds = sounds_of(lengths)
    embedder = CountingEmbedder(framing)
    pieces = list(
        windows.embed(
            ((key, windows.ArraySound(sound)) for key, sound in enumerate(sounds)), embedder, batch_size=batch_size
        )
    )
    assert [piece.key for piece in pieces] == sorted(piece.key for piece in pieces)
    total = 0
    for key, sound in enumerate(sounds):
        own = [piece for piece in pieces if piece.key == key]
        starts, vectors = slow_vectors(sound, framing)
        assert np.concatenate([piece.starts for piece in own]).tolist() == starts
        for name, values in vectors.items():
            got = np.concatenate([piece.vectors[name] for piece in own])
            np.testing.assert_allclose(got, values, atol=1e-6)
        assert {piece.samples for piece in own} == {len(sound)}
        assert [piece.is_last for piece in own] == [False] * (len(own) - 1) + [True]
        total += len(starts)
    assert embedder.batches == [batch_size] * (total // batch_size) + [total % batch_size] * bool(total % batch_size)


@given(lengths=SOUNDS, framing=FRAMINGS, batch_size=st.integers(1, 9))
def test_means_of_clips_do_not_depend_on_the_batches(lengths, framing, batch_size):
    sounds = sounds_of(lengths)
    pieces = windows.embed(
        ((key, windows.ArraySound(sound)) for key, sound in enumerate(sounds)),
        ToyEmbedder(framing),
        batch_size=batch_size,
    )
    means = list(windows.clip_means(pieces))
    assert [mean.key for mean in means] == list(range(len(sounds)))
    for mean, sound in zip(means, sounds, strict=True):
        assert (mean.starts.tolist(), mean.samples) == ([0], len(sound))
        for name, values in slow_vectors(sound, framing)[1].items():
            np.testing.assert_allclose(mean.vectors[name][0], values.mean(axis=0), atol=1e-6)


def test_a_waveform_has_the_windows_of_its_samples():
    framing = Framing(sample_rate=16000, window_samples=8, hop_samples=4)
    (samples,) = sounds_of([29])
    of_samples, of_waveform = (
        list(windows.embed([("a", windows.ArraySound(sound))], ToyEmbedder(framing), batch_size=4))
        for sound in (samples, samples.astype(np.float32) / 32768)
    )
    for one, other in zip(of_samples, of_waveform, strict=True):
        assert one.starts.tolist() == other.starts.tolist()
        for name, values in one.vectors.items():
            np.testing.assert_array_equal(values, other.vectors[name])


def test_sounds_are_read_one_after_the_other():
    """A sound may be closed when the next one is asked for."""
    closed = []

    class ClosingSound(windows.ArraySound):
        def read(self, start, end):
            assert self not in closed
            return super().read(start, end)

    def sounds():
        for key, samples in enumerate(sounds_of([5, 30, 7, 1])):
            sound = ClosingSound(samples)
            yield key, sound
            closed.append(sound)

    framing = Framing(sample_rate=16000, window_samples=8, hop_samples=4)
    assert len({piece.key for piece in windows.embed(sounds(), ToyEmbedder(framing), batch_size=4)}) == 4


def test_a_sound_without_samples_is_refused():
    framing = Framing(sample_rate=16000, window_samples=8, hop_samples=4)
    silence = windows.ArraySound(np.zeros(0, np.int16))
    with pytest.raises(ValueError, match="samples 0"):
        list(windows.embed([("a", silence)], ToyEmbedder(framing), batch_size=4))


@given(lengths=SOUNDS, framing=FRAMINGS)
def test_a_batch_for_more_windows_than_there_are_has_all_of_them(lengths, framing):
    """It would take 300 GB if it had room for all from the start."""
    sounds = sounds_of(lengths)
    embedder = CountingEmbedder(framing)
    pairs = [(key, windows.ArraySound(sound)) for key, sound in enumerate(sounds)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "_FIRST_WINDOWS", 2)
        pieces = list(windows.embed(pairs, embedder, batch_size=10**10))
    expected = [slow_vectors(sound, framing) for sound in sounds]
    assert [piece.starts.tolist() for piece in pieces] == [starts for starts, _ in expected]
    assert embedder.batches == ([sum(len(starts) for starts, _ in expected)] if lengths else [])
    for piece, (_, vectors) in zip(pieces, expected, strict=True):
        for name, values in vectors.items():
            np.testing.assert_allclose(piece.vectors[name], values, atol=1e-6)


def test_a_batch_that_does_not_fit_into_memory_is_said():
    framing = Framing(sample_rate=16000, window_samples=2**46, hop_samples=2**45)
    (sound,) = sounds_of([8])
    with pytest.raises(windows.BatchMemoryError, match="2 windows do not fit into memory"):
        list(windows.embed([("a", windows.ArraySound(sound))], ToyEmbedder(framing), batch_size=2))
