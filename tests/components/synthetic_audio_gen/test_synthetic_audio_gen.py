import numpy as np
import pytest
import scipy.signal

from beam_jobs import audio, sources
from components.synthetic_audio_gen import SyntheticAudioGen, SyntheticAudioGenConfig, corpus, sounds
from tests.components import harness

RATE = 16000


def generate_events(name, *, count=8):
    rng = np.random.default_rng(3)
    return [sounds.SOUNDS[name](rng, RATE, sounds.timbre(rng)) for _ in range(count)]


def spectral_centroid(samples):
    """Returns the spectral centroid in Hz."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    return (power * np.fft.rfftfreq(samples.size, 1 / RATE)).sum() / power.sum()


def modulation_rate(samples):
    """Returns the rate in Hz, from 2 to 20, of the strongest modulation of instantaneous amplitude and frequency."""
    analytic = scipy.signal.hilbert(samples)
    lowpass = scipy.signal.butter(2, 25, fs=RATE, output="sos")
    spectrum = 0
    for signal in (np.abs(analytic), np.diff(np.unwrap(np.angle(analytic)), append=0.0)):
        slow = scipy.signal.sosfiltfilt(lowpass, signal)[2000:-2000]
        spectrum = spectrum + np.abs(np.fft.rfft((slow - slow.mean()) / slow.std() * np.hanning(slow.size), 2**17))
    hertz = np.fft.rfftfreq(2**17, 1 / RATE)
    return hertz[np.argmax(np.where((hertz > 2) & (hertz < 20), spectrum, 0))]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = SyntheticAudioGenConfig(clips_train=20, clips_eval=4, clip_seconds=2.0, seed=5)
    return harness.execute(SyntheticAudioGen(config), tmp_path_factory.mktemp("synthetic"))


def test_corpus_is_read_like_audioset(run):
    listing = sources.list_clips(run.outputs["audio"])
    assert listing.layout == "audioset"
    assert not listing.quarantined
    assert not listing.ignored
    assert len(listing.clips) == 24
    assert sum(clip.split == "eval" for clip in listing.clips) == 4
    assert listing.label_names == corpus.CLASSES
    clip = listing.clips[0]
    assert clip.trimmed
    assert audio.decode_file(run.outputs["audio"] / clip.path).size == 2 * RATE


def test_summary_progress_and_tensorboard(run):
    assert run.result.summary == "24 clips of 16 classes"
    assert run.progress.updates[-1] == (24, 24, "clips")
    assert any(tag.startswith("classes/") for tag in run.tags())


def test_clip_depends_on_seed_split_and_index_only():
    def generate(split, index, seed):
        return corpus.generate(split, index, seed=seed, seconds=1.0, sample_rate=RATE)

    first = generate("train", 3, 0)
    again = generate("train", 3, 0)
    assert first.ytid == again.ytid
    np.testing.assert_array_equal(first.audio, again.audio)
    for other in (generate("train", 19, 0), generate("eval", 3, 0), generate("train", 3, 1)):
        assert other.ytid != first.ytid
        assert not np.array_equal(other.audio, first.audio)


def test_classes_are_balanced_and_a_third_of_the_clips_has_two():
    clips = [corpus.generate("train", i, seed=0, seconds=0.5, sample_rate=RATE) for i in range(480)]
    single = [clip.classes[0] for clip in clips if len(clip.classes) == 1]
    assert len(single) / len(clips) == pytest.approx(2 / 3, abs=0.07)
    assert len({clip.ytid for clip in clips}) == 480
    assert set(single) == set(range(16))
    assert all(len(set(clip.classes)) == len(clip.classes) for clip in clips)


@pytest.mark.parametrize("index", range(16))
def test_any_three_seconds_contain_sound_and_no_clip_is_clipped(index):
    clip = corpus.generate("train", index, seed=1, seconds=10.0, sample_rate=RATE)
    samples = clip.audio / 32768
    assert np.abs(samples).max() < 0.99
    level = 10 * np.log10(np.mean(samples**2))
    assert -42 < level < -14
    crops = [np.abs(samples[s * RATE // 2 : s * RATE // 2 + 3 * RATE]).max() for s in range(15)]
    assert min(crops) > 0.1 * max(crops)


@pytest.mark.parametrize("pair", ["chirp", "noise sweep", "melody"])
def test_rising_events_rise_and_falling_events_fall(pair):
    for name, sign in ((f"Rising {pair}", 1), (f"Falling {pair}", -1)):
        for event in generate_events(name):
            thirds = np.array_split(event, 3)
            assert sign * (spectral_centroid(thirds[2]) - spectral_centroid(thirds[0])) > 0


def test_strike_decays_and_reversed_strike_swells():
    for name, louder_half in (("Strike", 0), ("Reversed strike", 1)):
        for event in generate_events(name):
            energies = [np.square(half).sum() for half in np.array_split(event, 2)]
            assert np.argmax(energies) == louder_half


@pytest.mark.parametrize("kind", ["tremolo", "vibrato"])
def test_fast_modulation_is_faster_than_slow_modulation(kind):
    slow = [modulation_rate(event) for event in generate_events(f"Slow {kind}")]
    fast = [modulation_rate(event) for event in generate_events(f"Fast {kind}")]
    assert max(np.median(slow), 5.0) < 7.0 < np.median(fast)


@pytest.mark.parametrize(("first", "second"), list(zip(corpus.CLASSES[::2], corpus.CLASSES[1::2], strict=True)))
def test_both_events_of_a_pair_have_the_same_long_term_spectrum(first, second):
    """Compares the shares of power in third octaves over many events, which the mean over frames also depends on."""

    def third_octave_shares(name):
        sums = np.zeros(20)
        edges = 100 * 2 ** (np.arange(21) / 3)
        for event in generate_events(name, count=60):
            power = np.abs(np.fft.rfft(event, 2**15)) ** 2
            sums += np.histogram(np.fft.rfftfreq(2**15, 1 / RATE), edges, weights=power / power.sum())[0]
        return sums / 60

    assert np.abs(third_octave_shares(first) - third_octave_shares(second)).sum() < 0.35
