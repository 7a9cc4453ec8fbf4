import numpy as np
import pytest

from pipeline.evaluation.robustness import codecs
from pipeline.evaluation.robustness.perturbations import KINDS, perturb
from tests import corpora

RATE = 16000
EVERY = [(kind, level) for kind in KINDS for level in KINDS[kind].levels]


def sound(seconds=2.0):
    """A quiet tone with a rising level, so that a shift shows."""
    tone = corpora.tone(seconds=seconds, sample_rate=RATE, amplitude=0.05)
    return (tone * np.linspace(0.2, 1.0, tone.size)).astype(np.float32)


def apply(samples, kind, level, *, clip_id="a", rate=RATE):
    return perturb(samples, sample_rate=rate, kind=kind, level=level, clip_id=clip_id)


@pytest.mark.parametrize(("kind", "level"), EVERY)
def test_length_and_range_stay_and_a_clip_is_always_changed_in_the_same_way(kind, level):
    samples = sound()
    perturbed = apply(samples, kind, level)
    assert (perturbed.shape, perturbed.dtype) == (samples.shape, np.float32)
    assert np.abs(perturbed).max() <= 1
    np.testing.assert_array_equal(perturbed, apply(samples, kind, level))


@pytest.mark.parametrize("kind", ["white_noise", "pink_noise"])
@pytest.mark.parametrize("snr_db", [40.0, 10.0, 0.0])
def test_noise_has_the_power_that_was_asked_for(kind, snr_db):
    samples = sound()
    noise = apply(samples, kind, snr_db) - samples
    assert 10 * np.log10(np.mean(samples**2) / np.mean(noise**2)) == pytest.approx(snr_db, abs=0.01)


def test_noise_is_white_or_pink_and_another_for_another_clip():
    samples = sound(8.0)
    slopes = {}
    for kind in ("white_noise", "pink_noise"):
        noise = apply(samples, kind, 0.0) - samples
        assert np.abs(np.corrcoef(noise, apply(samples, kind, 0.0, clip_id="b") - samples)[0, 1]) < 0.05
        power = np.abs(np.fft.rfft(noise)) ** 2
        octaves = [power[2**k : 2 ** (k + 1)].mean() for k in range(9, 15)]
        slopes[kind] = np.polyfit(range(6), 10 * np.log10(octaves), 1)[0]
    assert slopes["white_noise"] == pytest.approx(0.0, abs=0.5)
    assert slopes["pink_noise"] == pytest.approx(-3.0, abs=0.5)


def test_gain_is_exact():
    samples = sound()
    np.testing.assert_allclose(apply(samples, "gain", -20.0), samples / 10, rtol=1e-6)
    np.testing.assert_allclose(apply(samples, "gain", 20.0), samples * 10, rtol=1e-6)
    assert np.abs(apply(samples, "gain", 40.0)).max() == 1.0


@pytest.mark.parametrize(("seconds", "ms", "delay"), [(2.0, 100, 1600), (2.0, 1000, 16000), (1.0, 1000, 8000)])
def test_a_shift_delays_the_sound_by_at_most_half_of_the_clip(seconds, ms, delay):
    samples = sound(seconds)
    shifted = apply(samples, "shift", float(ms))
    assert not shifted[:delay].any()
    np.testing.assert_array_equal(shifted[delay:], samples[:-delay])


@pytest.mark.parametrize("kind", ["mp3", "opus", "resampling"])
def test_the_mildest_level_keeps_a_tone_in_its_place(kind):
    samples = sound()
    perturbed = apply(samples, kind, KINDS[kind].levels[0])
    middle = slice(RATE // 2, -RATE // 2)
    error = perturbed[middle] - samples[middle]
    assert 10 * np.log10(np.mean(samples[middle] ** 2) / np.mean(error**2)) > 15


def test_a_lower_rate_removes_what_lies_above_half_of_it():
    samples = corpora.tone(seconds=1.0, sample_rate=RATE, hertz=6000.0).astype(np.float32)
    assert np.abs(apply(samples, "resampling", 8000.0)[1000:-1000]).max() < 0.01
    assert np.abs(apply(samples, "resampling", 22050.0)[1000:-1000]).max() > 0.25


@pytest.mark.parametrize("codec", ["mp3", "opus"])
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 32000, 44100, 48000])
def test_codecs_take_every_rate_and_less_of_it_takes_fewer_bytes(codec, rate):
    samples = corpora.tone(seconds=1.0, sample_rate=rate).astype(np.float32)
    sizes = [len(codecs.encode(samples, sample_rate=rate, codec=codec, kbps=kbps)) for kbps in (64, 32)]
    assert sizes[0] > sizes[1]
    assert (
        codecs.decode(codecs.encode(samples, sample_rate=rate, codec=codec, kbps=64), sample_rate=rate).size
        > 0.9 * rate
    )


def low_noise(seconds, rate, *, hertz=1500.0):
    """Noise below a frequency that every bit rate keeps."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(round(seconds * rate)))
    spectrum[round(hertz * seconds) :] = 0
    noise = np.fft.irfft(spectrum, round(seconds * rate))
    return (0.1 * noise / noise.std()).astype(np.float32)


@pytest.mark.parametrize("rate", [16000, 22050, 32000, 44100, 48000])
@pytest.mark.parametrize("kbps", map(round, KINDS["mp3"].levels))
def test_mp3_has_the_bit_rate_that_was_asked_for(rate, kbps):
    """Two lengths tell the bit rate without the frames that every file has besides."""
    short, long = (
        len(codecs.encode(low_noise(seconds, rate), sample_rate=rate, codec="mp3", kbps=kbps)) for seconds in (2, 6)
    )
    assert (long - short) * 8 / 4 / 1000 == pytest.approx(kbps, rel=0.03)


@pytest.mark.parametrize("rate", [16000, 32000, 44100, 48000])
@pytest.mark.parametrize("kbps", [32, 16, 8])
def test_mp3_keeps_sound_in_its_place_at_every_bit_rate(rate, kbps):
    samples = low_noise(2.01, rate)
    perturbed = apply(samples, "mp3", kbps, rate=rate)
    assert perturbed.size == samples.size
    spectra = np.fft.rfft(perturbed, 2 * samples.size) * np.conj(np.fft.rfft(samples, 2 * samples.size))
    correlation = np.fft.irfft(spectra)
    assert correlation.argmax() == 0
    assert correlation[0] > 0.8 * np.linalg.norm(samples) * np.linalg.norm(perturbed)


def test_silence_stays_silent():
    for kind, level in EVERY:
        assert np.abs(apply(np.zeros(4000, np.float32), kind, level)).max() < 1e-3
