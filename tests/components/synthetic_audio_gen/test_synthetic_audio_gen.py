import numpy as np
import pytest
import scipy.signal

from beam_jobs import audio, sources
from components.synthetic_audio_gen import SyntheticAudioGen, SyntheticAudioGenConfig, corpus, sounds
from tests.components import harness

RATE = 16000


def events(name, *, count=8):
    rng = np.random.default_rng(3)
    return [sounds.SOUNDS[name](rng, RATE, sounds.timbre(rng)) for _ in range(count)]


def centroid(samples):
    """Spectral centroid in Hz of a piece of sound."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    return (power * np.fft.rfftfreq(samples.size, 1 / RATE)).sum() / power.sum()


def modulation_rate(samples):
    """Hz of the strongest modulation of the instantaneous amplitude and frequency, from 2 Hz up."""
    analytic = scipy.signal.hilbert(samples)
    smooth = scipy.signal.butter(2, 25, fs=RATE, output="sos")
    spectrum = 0
    for signal in (np.abs(analytic), np.diff(np.unwrap(np.angle(analytic)), append=0.0)):
        slow = scipy.signal.sosfiltfilt(smooth, signal)[2000:-2000]
        spectrum = spectrum + np.abs(np.fft.rfft((slow - slow.mean()) / slow.std() * np.hanning(slow.size), 2**17))
    hertz = np.fft.rfftfreq(2**17, 1 / RATE)
    return hertz[np.argmax(np.where((hertz > 2) & (hertz < 20), spectrum, 0))]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    config = SyntheticAudioGenConfig(clips_train=20, clips_eval=4, clip_seconds=2.0, seed=5)
    return harness.execute(SyntheticAudioGen(config), tmp_path_factory.mktemp("synthetic"))


def test_the_real_ingest_reads_it(made):
    listing = sources.list_clips(made.outputs["audio"])
    assert listing.layout == "audioset"
    assert not listing.quarantined
    assert not listing.ignored
    assert len(listing.clips) == 24
    assert sum(clip.split == "eval" for clip in listing.clips) == 4
    assert listing.label_names == corpus.CLASSES
    clip = listing.clips[0]
    assert clip.trimmed
    assert audio.decode_file(made.outputs["audio"] / clip.path).size == 2 * RATE


def test_summary_progress_and_tensorboard(made):
    assert made.result.summary == "24 clips of 16 classes"
    assert made.progress.updates[-1] == (24, 24, "clips")
    assert any(tag.startswith("classes/") for tag in made.tags())


def test_clips_depend_on_seed_split_and_number_alone():
    def make(split, index, seed):
        return corpus.generate(split, index, seed=seed, seconds=1.0, sample_rate=RATE)

    first = make("train", 3, 0)
    again = make("train", 3, 0)
    assert first.ytid == again.ytid
    np.testing.assert_array_equal(first.audio, again.audio)
    for other in (make("train", 19, 0), make("eval", 3, 0), make("train", 3, 1)):
        assert other.ytid != first.ytid
        assert not np.array_equal(other.audio, first.audio)


def test_classes_are_balanced_and_a_third_are_mixtures():
    clips = [corpus.generate("train", i, seed=0, seconds=0.5, sample_rate=RATE) for i in range(480)]
    single = [clip.classes[0] for clip in clips if len(clip.classes) == 1]
    assert len(single) / len(clips) == pytest.approx(2 / 3, abs=0.07)
    assert len({clip.ytid for clip in clips}) == 480
    assert set(single) == set(range(16))
    assert all(len(set(clip.classes)) == len(clip.classes) for clip in clips)


@pytest.mark.parametrize("index", range(16))
def test_every_three_seconds_hold_the_sound_and_no_clip_clips(index):
    clip = corpus.generate("train", index, seed=1, seconds=10.0, sample_rate=RATE)
    samples = clip.audio / 32768
    assert np.abs(samples).max() < 0.99
    level = 10 * np.log10(np.mean(samples**2))
    assert -42 < level < -14
    crops = [np.abs(samples[s * RATE // 2 : s * RATE // 2 + 3 * RATE]).max() for s in range(15)]
    assert min(crops) > 0.1 * max(crops)


@pytest.mark.parametrize("pair", ["chirp", "noise sweep", "melody"])
def test_rising_rises_and_falling_falls(pair):
    for name, sign in ((f"Rising {pair}", 1), (f"Falling {pair}", -1)):
        for event in events(name):
            thirds = np.array_split(event, 3)
            assert sign * (centroid(thirds[2]) - centroid(thirds[0])) > 0


def test_a_strike_decays_and_a_reversed_one_swells():
    for name, first in (("Strike", 0), ("Reversed strike", 1)):
        for event in events(name):
            halves = [np.square(half).sum() for half in np.array_split(event, 2)]
            assert np.argmax(halves) == first


@pytest.mark.parametrize("kind", ["tremolo", "vibrato"])
def test_rates_of_modulation(kind):
    slow = [modulation_rate(event) for event in events(f"Slow {kind}")]
    fast = [modulation_rate(event) for event in events(f"Fast {kind}")]
    assert max(np.median(slow), 5.0) < 7.0 < np.median(fast)


@pytest.mark.parametrize(("first", "second"), list(zip(corpus.CLASSES[::2], corpus.CLASSES[1::2], strict=True)))
def test_the_two_of_a_pair_have_the_same_long_term_spectrum(first, second):
    """What a mean over frames sees: third-octave shares of the power over many events."""

    def spectrum(name):
        sums = np.zeros(20)
        edges = 100 * 2 ** (np.arange(21) / 3)
        for event in events(name, count=60):
            power = np.abs(np.fft.rfft(event, 2**15)) ** 2
            sums += np.histogram(np.fft.rfftfreq(2**15, 1 / RATE), edges, weights=power / power.sum())[0]
        return sums / 60

    assert np.abs(spectrum(first) - spectrum(second)).sum() < 0.35
