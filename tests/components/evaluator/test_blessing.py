import math

import pytest

from components.evaluator.blessing import bless


@pytest.mark.parametrize(
    ("scores", "margin", "blessed", "named"),
    [
        ({"untrained/both": (0.6, 0.4), "mfcc_mean_std": (0.6, 0.5)}, 0.0, True, ""),
        ({"untrained/both": (0.6, 0.4), "mfcc_mean_std": (0.6, 0.6)}, 0.0, False, "mfcc_mean_std"),
        ({"untrained/both": (0.6, 0.55), "mfcc_mean_std": (0.6, 0.4)}, 0.1, False, "untrained/both"),
        ({"untrained/both": (0.6, 0.4), "mfcc_mean_std": (0.3, 0.4)}, 0.0, False, "mfcc_mean_std"),
        ({"untrained/both": (math.nan, math.nan)}, 0.0, False, "untrained/both"),
    ],
)
def test_an_embedding_is_blessed_if_it_beats_all_baselines_by_the_margin(scores, margin, blessed, named):
    blessing = bless(scores, min_margin=margin)
    assert blessing.blessed is blessed
    assert named in " ".join(blessing.reasons)


@pytest.mark.parametrize("needs_score", [True, False])
def test_an_embedding_without_a_score_is_blessed_only_if_none_is_expected(needs_score):
    blessing = bless({}, min_margin=0.0, note="no eval split", needs_score=needs_score)
    assert blessing.blessed is not needs_score
    assert blessing.reasons[0].startswith("not probed: no eval split")


def test_an_embedding_that_was_compared_with_nothing_is_not_blessed():
    blessing = bless({}, min_margin=0.0)
    assert not blessing.blessed
    assert blessing.reasons[0].startswith("compared with neither untrained/both nor mfcc_mean_std")
