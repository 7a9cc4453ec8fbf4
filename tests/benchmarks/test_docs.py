import pytest

from tests.benchmarks import docs

PAGES = [page.relative_to(docs.ROOT).as_posix() for page in docs.pages()]
BLOCKS = {*docs.RENDERERS, "audioset_cost", "cost"}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_the_committed_results(page):
    text = (docs.ROOT / page).read_text()
    assert docs.fill(text) == text, "run python -m tests.benchmarks.docs"


def test_every_result_is_shown_on_one_page():
    shown = []
    for page in PAGES:
        shown += [match[2] for match in docs.MARKED.finditer((docs.ROOT / page).read_text())]
    assert sorted(shown) == sorted(BLOCKS), "a page has lost its markers, or shows a result twice"


def test_the_readme_shows_both_runs():
    text = (docs.ROOT / "README.md").read_text()
    assert [match[2] for match in docs.MARKED.finditer(text)] == ["tiny", "quickstart"]


def test_the_readme_states_the_difference_between_two_formats_and_one():
    (log_mel,) = [cell for cell in docs.load("figure2")["cells"] if cell["name"] == "log_mel"]
    less = log_mel["against_reference"]
    text = " ".join((docs.ROOT / "README.md").read_text().split())
    assert f"both are {-100 * less['mean']:.1f} points better" in text
    assert f"({-100 * less['high']:.1f} to {-100 * less['low']:.1f}, three seeds)" in text
