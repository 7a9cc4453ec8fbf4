import pytest

from tests.benchmarks import readme


def test_the_readme_shows_the_committed_results():
    text = readme.README.read_text()
    assert readme.MARKED.search(text), "the README has lost its markers"
    assert readme.fill(text) == text, "run python -m tests.benchmarks.readme"


@pytest.mark.parametrize("name", ["tiny", "quickstart"])
def test_training_beats_untrained_encoders_and_the_classical_baseline(name):
    scores = readme.load(name)["evaluation"]["scores"]
    assert scores["both"] > scores["untrained/both"] + 0.05
    assert scores["both"] > scores["mfcc"] + 0.05
