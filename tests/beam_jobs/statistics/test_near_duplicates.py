import io
import itertools
import json
import random

import apache_beam as beam
import numpy as np
import pytest
import scipy.signal
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs.statistics import near_duplicates


def scene(seed, *, seconds=8.0, sample_rate=16000):
    """Overlapping bursts of filtered noise and of harmonic tones over soft noise, int16."""
    rng = np.random.default_rng(seed)
    wave = rng.normal(size=round(seconds * sample_rate)) * 0.003
    for start in np.cumsum(rng.uniform(0.1, 0.5, size=40)):
        length = round(rng.uniform(0.1, 0.9) * sample_rate)
        first = round(start * sample_rate)
        if first + length > wave.size:
            break
        time = np.arange(length) / sample_rate
        pitch = rng.uniform(200, 2500)
        if rng.integers(2):
            burst = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 4))
        else:
            band = scipy.signal.butter(2, [pitch, 1.4 * pitch], "bandpass", fs=sample_rate, output="sos")
            burst = 2 * scipy.signal.sosfilt(band, rng.normal(size=length))
        wave[first : first + length] += burst * np.exp(-time * rng.uniform(1, 12)) * rng.uniform(0.05, 0.12)
    return pcm(wave)


def pcm(wave):
    return np.clip(np.rint(wave * 32768), -32768, 32767).astype(np.int16)


def encoded(audio, *, format, subtype, compression_level=0.3):
    buffer = io.BytesIO()
    settings = {"format": format, "subtype": subtype, "compression_level": compression_level}
    soundfile.write(buffer, audio.astype(np.float32) / 32768, 16000, **settings)
    buffer.seek(0)
    return pcm(soundfile.read(buffer)[0])


def shared(a, b):
    return len(set(a) & set(b))


CHANGES = {
    "identical": lambda audio: audio,
    "mp3": lambda audio: encoded(audio, format="MP3", subtype="MPEG_LAYER_III"),
    "opus": lambda audio: encoded(audio, format="OGG", subtype="OPUS", compression_level=0.8),
    "vorbis": lambda audio: encoded(audio, format="OGG", subtype="VORBIS"),
    "6 dB softer": lambda audio: pcm(audio / 65536),
    "6 dB louder": lambda audio: pcm(audio / 16384),
    "5 ms later": lambda audio: audio[80:],
    "5 ms earlier": lambda audio: np.pad(audio, (80, 0)),
    "an inverted phase and an offset": lambda audio: (50 - audio.astype(int)).astype(np.int16),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_sounds_the_same_is_found(change):
    clips = [scene(seed) for seed in range(10)]
    counts = [
        shared(*(near_duplicates.keys(x, sample_rate=16000) for x in (audio, CHANGES[change](audio))))
        for audio in clips
    ]
    assert sum(count >= near_duplicates.SHARED_KEYS for count in counts) >= 9, counts


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
def test_different_clips_of_one_kind_are_not_found(clips):
    keys = [near_duplicates.keys(audio, sample_rate=16000) for audio in clips]
    most = max(shared(a, b) for a, b in itertools.combinations(keys, 2))
    assert most < near_duplicates.SHARED_KEYS


def test_the_same_sound_at_the_same_rate_gives_the_same_keys_at_any_rate():
    for sample_rate in (8000, 16000, 22050, 48000):
        audio = scene(3, sample_rate=sample_rate)
        keys = near_duplicates.keys(audio, sample_rate=sample_rate)
        assert len(set(keys)) == near_duplicates.KEYS
        assert keys == near_duplicates.keys(audio.copy(), sample_rate=sample_rate)


@settings(max_examples=20)
@given(samples=st.integers(1, 30000), amplitude=st.integers(1, 32767))
def test_short_and_steady_clips_are_found_only_where_identical(samples, amplitude):
    audio = np.full(samples, amplitude, np.int16)
    keys = near_duplicates.keys(audio, sample_rate=16000)
    assert len(set(keys)) == near_duplicates.SHARED_KEYS
    assert keys == near_duplicates.keys(audio.copy(), sample_rate=16000)
    assert not shared(keys, near_duplicates.keys(np.append(audio, 1).astype(np.int16), sample_rate=16000))


def test_zeros_have_no_key():
    assert near_duplicates.keys(np.zeros(160000, np.int16), sample_rate=16000) == []


def pairs(keyed, folder, *, listed=10):
    """What `CrossSplitPairs` finds, by splits."""
    with beam.Pipeline("FnApiRunner") as pipeline:
        _ = (
            pipeline
            | beam.Create(keyed)
            | near_duplicates.CrossSplitPairs(listed=listed)
            | beam.Map(json.dumps)
            | beam.io.WriteToText(str(folder / "pairs"))
        )
    lines = [line for path in folder.glob("pairs*") for line in path.read_text().splitlines()]
    return {tuple(splits): figures for splits, figures in map(json.loads, lines)}


def brute_force(keyed):
    """Pairs of clips of different splits by counting the keys of all against all."""
    clips = {}
    for key, member in keyed:
        clips.setdefault(member, set()).add(key)
    found = {}
    for (a, a_keys), (b, b_keys) in itertools.combinations(sorted(clips.items()), 2):
        count = len(a_keys & b_keys)
        if a[0] != b[0] and count >= near_duplicates.SHARED_KEYS:
            found.setdefault((a[0], b[0]), []).append([a[1], b[1], count])
    return found


def test_pairs_against_brute_force(tmp_path):
    rng = random.Random(0)
    splits = ("train", "valid", "eval")
    keyed = [(key, (splits[i % 3], f"clip{i}")) for i in range(40) for key in rng.sample(range(30), 6)]
    expected = brute_force(keyed)
    found = pairs(keyed, tmp_path, listed=5)
    assert found.keys() == expected.keys()
    for splits, listed in expected.items():
        assert found[splits]["pairs"] == len(listed)
        assert found[splits]["listed"] == sorted(listed)[:5]
        assert found[splits]["clips"] == {
            split: len({row[side] for row in listed}) for side, split in enumerate(splits)
        }


@pytest.mark.parametrize("members", [[], [("train", "a"), ("train", "b")], [("train", "a")]])
def test_one_split_has_no_pair(tmp_path, members):
    keyed = [(key, member) for key in range(5) for member in members]
    assert pairs(keyed, tmp_path) == {}


def test_a_key_of_a_thousand_clips_stays_small(tmp_path):
    count = 500
    keyed = [(key, (split, f"{i:04d}")) for key in range(4) for split in ("train", "eval") for i in range(count)]
    random.Random(1).shuffle(keyed)
    found = pairs(keyed, tmp_path)["eval", "train"]
    assert found["pairs"] == near_duplicates.BUCKET_CLIPS**2
    assert found["clips"] == {"eval": near_duplicates.BUCKET_CLIPS, "train": near_duplicates.BUCKET_CLIPS}
    assert found["listed"][0] == ["0000", "0000", 4]
