import numpy as np
import pytest

from beam_jobs.audio import levels


def test_levels_of_known_signals():
    square = np.tile(np.array([3277, -3277], np.int16), 100)
    assert levels.level_dbfs(square) == pytest.approx(-20.0, abs=0.01)
    assert levels.to_dbfs(levels.peak(square)) == pytest.approx(-20.0, abs=0.01)
    assert levels.to_dbfs(levels.peak(np.array([-32768], np.int16))) == 0.0
    assert levels.level_dbfs(np.zeros(5, np.int16)) == -100.0
    assert levels.clipped_share(np.array([32767, 0, -32768, 5], np.int16)) == 0.5
