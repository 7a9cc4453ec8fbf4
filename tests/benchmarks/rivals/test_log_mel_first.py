import numpy as np
import pytest

from tests.benchmarks.rivals import log_mel_first, training


@pytest.fixture
def phases(monkeypatch):
    """Makes a phase two steps long, and gets the encoders' weights before and after each phase."""
    recorded = []

    def two_steps(method, config, *, cpu_minutes):
        before = weights(method.model)
        losses = [method.step(), method.step()]
        recorded.append((before, weights(method.model)))
        return training.Trained(steps=2, cpu_minutes=cpu_minutes, minutes=1.0, loss=losses[-1])

    monkeypatch.setattr(training, "train", two_steps)
    return recorded


def weights(model):
    networks = {**model.encoders, "projector": model.projector}
    return {name: np.concatenate([np.ravel(w) for w in network.get_weights()]) for name, network in networks.items()}


@pytest.mark.slow
def test_each_phase_starts_where_the_one_before_ended_and_the_second_leaves_log_mel_alone(examples, config_of, phases):
    model, trained = log_mel_first.train(config_of("log_mel_first"), examples, cpu_minutes=6.0)
    assert (trained.steps, trained.cpu_minutes, trained.minutes) == (6, pytest.approx(6.0), 3.0)
    alone, locked, both = phases
    assert set(alone[0]) == {"log_mel", "projector"}
    assert set(both[0]) == {"waveform", "log_mel", "projector"}

    def changed(phase, name):
        return not np.array_equal(phase[0][name], phase[1][name])

    assert changed(alone, "log_mel")
    assert not changed(locked, "log_mel")  # Neither its weights nor the statistics of batch norm.
    assert changed(locked, "waveform")
    assert all(changed(both, name) for name in both[0])
    for before, after in ((alone, locked), (locked, both)):
        for name, ended in before[1].items():
            np.testing.assert_array_equal(after[0][name], ended)
    assert model.encoders["log_mel"].trainable
