import io
import itertools

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs.statistics import fingerprints
from tests.beam_jobs.statistics.scenes import pcm, scene


def encode_and_decode(audio, *, format, subtype, compression_level=0.3):
    """Returns what is left of a clip after lossy compression."""
    buffer = io.BytesIO()
    wave = audio.astype(np.float32) / 32768
    soundfile.write(buffer, wave, 16000, format=format, subtype=subtype, compression_level=compression_level)
    buffer.seek(0)
    return pcm(soundfile.read(buffer)[0])


def keys_of(audio):
    return fingerprints.fingerprint_keys(audio, sample_rate=16000)


def count_shared(keys, other_keys):
    return len(set(keys) & set(other_keys))


CHANGES = {
    "identical": lambda audio: audio,
    "mp3": lambda audio: encode_and_decode(audio, format="MP3", subtype="MPEG_LAYER_III"),
    "opus": lambda audio: encode_and_decode(audio, format="OGG", subtype="OPUS", compression_level=0.8),
    "vorbis": lambda audio: encode_and_decode(audio, format="OGG", subtype="VORBIS"),
    "6 dB softer": lambda audio: pcm(audio / 65536),
    "6 dB louder": lambda audio: pcm(audio / 16384),
    "5 ms later": lambda audio: audio[80:],
    "5 ms earlier": lambda audio: np.pad(audio, (80, 0)),
    "inverted, with an offset": lambda audio: (50 - audio.astype(int)).astype(np.int16),
}


@pytest.fixture(scope="module")
def clips_and_keys():
    clips = [scene(seed) for seed in range(10)]
    return [(audio, keys_of(audio)) for audio in clips]


@pytest.mark.parametrize("change", CHANGES)
def test_clips_that_sound_the_same_share_keys(clips_and_keys, change):
    counts = [count_shared(keys, keys_of(CHANGES[change](audio))) for audio, keys in clips_and_keys]
    assert sum(count >= fingerprints.SHARED_KEYS for count in counts) >= 9, counts


def tone(pitch, *, seed):
    rng = np.random.default_rng(seed)
    time = np.arange(80000) / 16000
    swell = 1 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.3, 3) * time + rng.uniform(0, 6))
    return pcm(0.2 * swell * np.sin(2 * np.pi * pitch * time + rng.uniform(0, 6)) + 1e-3 * rng.normal(size=time.size))


def noise(seed):
    return pcm(np.random.default_rng(seed).normal(size=80000) * 0.1)


def bursts(seed):
    rng = np.random.default_rng(seed)
    wave = rng.normal(size=80000) * 0.2
    for start in rng.integers(0, 70000, size=6):
        wave[start : start + 8000] *= 0.01
    return pcm(wave)


@pytest.mark.parametrize(
    "clips",
    [
        [tone(440.0, seed=seed) for seed in range(25)],
        [tone(pitch, seed=1) for pitch in range(300, 1300, 40)],
        [noise(seed) for seed in range(25)],
        [bursts(seed) for seed in range(25)],
        [scene(seed, seconds=5.0) for seed in range(25)],
    ],
    ids=["one tone", "tones", "noise", "bursts", "scenes"],
)
def test_different_clips_of_one_kind_do_not_share_enough_keys(clips):
    keys = [keys_of(audio) for audio in clips]
    most = max(count_shared(a, b) for a, b in itertools.combinations(keys, 2))
    assert most < fingerprints.SHARED_KEYS


def test_identical_clips_have_identical_keys_at_any_sample_rate():
    for sample_rate in (8000, 16000, 22050, 48000):
        audio = scene(3, sample_rate=sample_rate)
        keys = fingerprints.fingerprint_keys(audio, sample_rate=sample_rate)
        assert len(set(keys)) == fingerprints.KEYS
        assert keys == fingerprints.fingerprint_keys(audio.copy(), sample_rate=sample_rate)


@settings(max_examples=20)
@given(samples=st.integers(1, 30000), amplitude=st.integers(1, 32767))
def test_short_or_steady_clips_share_keys_only_if_they_are_identical(samples, amplitude):
    audio = np.full(samples, amplitude, np.int16)
    keys = keys_of(audio)
    assert len(set(keys)) == fingerprints.SHARED_KEYS
    assert keys == keys_of(audio.copy())
    assert not count_shared(keys, keys_of(np.append(audio, 1).astype(np.int16)))


def test_a_clip_of_zeros_has_no_keys():
    assert keys_of(np.zeros(160000, np.int16)) == []
