import json
import sys

import numpy as np
import pytest
from scipy import stats

from tests import corpora, exports
from tests.benchmarks import fine_tuning, fine_tuning_table

RESULT = {
    "date": "2026-01-02",
    "machine": {"cores": 2, "cpu": "a processor", "tensorflow": "2.17.1"},
    "trained": "a model",
    "clips": 400,
    "C": 0.3,
    "recipe": {"passes": 2, "batch_size": 32, "learning_rate": 1e-4},
    "folds": [{"fold": 1, "frozen": 0.5, "fine_tuned": 0.6}, {"fold": 2, "frozen": 0.55, "fine_tuned": 0.6}],
    "difference": {"mean": 0.075, "interval_95": [-0.2427, 0.3927]},
    "core_minutes": 9.0,
}


def test_the_interval_is_that_of_a_paired_test_over_the_folds():
    frozen, tuned = np.array([0.5, 0.55, 0.6, 0.52, 0.58]), np.array([0.6, 0.6, 0.62, 0.6, 0.61])
    expected = stats.ttest_rel(tuned, frozen).confidence_interval(0.95)
    found = fine_tuning.difference(list(tuned - frozen))
    assert found["mean"] == pytest.approx((tuned - frozen).mean(), abs=1e-4)
    assert found["interval_95"] == pytest.approx([expected.low, expected.high], abs=1e-4)


def test_the_table_has_a_column_for_each_fold():
    text = fine_tuning_table.render(RESULT)
    assert "| frozen | 50.0 % | 55.0 % | 52.5 % |" in text
    assert "| trained along | 60.0 % | 60.0 % | 60.0 % |" in text
    assert "The difference is 7.5 points (95 % interval over the folds -24.3 to 39.3)" in " ".join(text.split())


@pytest.mark.slow
def test_a_small_model_is_fine_tuned(tmp_path, tmp_path_factory, monkeypatch):
    model, clips = exports.small(tmp_path_factory), corpora.esc50(tmp_path / "esc50", clips=40)
    flags = ["--model", model, "--trained", "a small model", "--esc50", clips, "--folds", "2", "--passes", "1"]
    monkeypatch.setattr(sys, "argv", ["fine_tuning", *map(str, flags), "--results", str(tmp_path)])
    fine_tuning.main()
    result = json.loads((tmp_path / "fine_tuning.json").read_text())
    assert [row["fold"] for row in result["folds"]] == [1, 2]
    assert "40 clips of ESC-50, with a small model." in " ".join(fine_tuning_table.render(result).split())
