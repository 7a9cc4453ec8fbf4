import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.trainer import collapse


@settings(deadline=None)
@given(dim=st.integers(1, 12), seed=st.integers(0, 100), level=st.floats(1e-3, 1e3))
def test_effective_rank_lies_between_one_and_the_dimensions(dim, seed, level):
    rng = np.random.default_rng(seed)
    rank = collapse.effective_rank(level * rng.normal(size=(40, dim)) + 3.0)
    assert 1.0 <= rank <= dim + 1e-6


def test_effective_rank_of_known_distributions():
    rng = np.random.default_rng(0)
    assert collapse.effective_rank(rng.normal(size=(20_000, 8))) == pytest.approx(8.0, abs=0.02)
    line = rng.normal(size=(100, 1)) @ rng.normal(size=(1, 8))
    assert collapse.effective_rank(line) == pytest.approx(1.0, abs=1e-6)
    assert collapse.effective_rank(np.full((10, 8), 5.0, np.float32)) == 1.0
    both = np.concatenate([np.eye(2), -np.eye(2)])
    assert collapse.effective_rank(both) == pytest.approx(2.0)


def test_the_embedding_that_stays_collapsed_is_named_once(caplog):
    warning = collapse.CollapseWarning(["waveform", "log_mel"], min_rank=2.0, clips=100)
    for step, rank in enumerate([1.5, 1.5, 2.5, 1.5, 1.4, 1.3, 1.2]):
        warning.update(step, {"waveform": rank, "log_mel": 2.5})
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith(
        "the waveform embeddings have collapsed: at step 5 they fill 1.3 dimensions, below the 2 of"
    )
