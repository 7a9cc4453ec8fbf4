from tests.benchmarks import readme


def test_the_readme_shows_the_committed_results():
    text = readme.README.read_text()
    assert readme.MARKED.search(text), "the README has lost its markers"
    assert readme.fill(text) == text, "run python -m tests.benchmarks.readme"
