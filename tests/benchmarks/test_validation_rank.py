import pytest

from tests.benchmarks import validation_rank


def test_the_ranks_of_both_scores_are_compared():
    rows = [
        {"step": 10 * i, "probe": probe, "loss": loss, "evaluator": evaluator}
        for i, (probe, loss, evaluator) in enumerate([(0.1, 5, 0.2), (0.3, 4, 0.5), (0.2, 3, 0.4), (0.4, 6, 0.6)])
    ]
    compared = validation_rank.compare(rows)
    assert compared["probe"]["spearman"] == 1.0
    assert compared["probe"]["interval_95"] == [1.0, 1.0]
    assert (compared["probe"]["chosen_step"], compared["probe"]["below_best"]) == (30, 0.0)
    assert compared["loss"]["spearman"] == pytest.approx(-0.4)
    assert (compared["loss"]["chosen_step"], compared["loss"]["below_best"]) == (20, 0.2)
