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
    less, wide = _against("figure2", "log_mel"), _against("figure2_formats", "log_mel-wide")
    text = " ".join((docs.ROOT / "README.md").read_text().split())
    assert f"{-100 * less['mean']:.1f} points better than one log-mel encoder" in text
    assert f"alone ({-100 * less['high']:.1f} to {-100 * less['low']:.1f}, three seeds)" in text
    longer, longer_less = (_against("figure2_longer", name) for name in ("log_mel-wide", "log_mel"))
    assert f"({-100 * wide['mean']:.1f} points, {-100 * wide['high']:.1f} to {-100 * wide['low']:.1f}, after 4" in text
    difference = f"{-100 * longer['mean']:.1f}, {-100 * longer['high']:.1f} to {-100 * longer['low']:.1f}, after 15"
    assert difference in text
    text = " ".join((docs.ROOT / "pipeline/experiments/README.md").read_text().split())
    assert f"by {-100 * less['mean']:.1f} points after 15 minutes" in text
    assert f"is {-100 * wide['mean']:.1f} points ({-100 * wide['high']:.1f} to {-100 * wide['low']:.1f})" in text
    for one, said in ((longer, "points ahead"), (longer_less, "points against one log-mel encoder of one width")):
        interval = f"({-100 * one['high']:.1f} to {-100 * one['low']:.1f})"
        assert f"{-100 * one['mean']:.1f} {said} {interval}" in text


def _against(result, name):
    """Returns by how much a cell is better than the pair."""
    (cell,) = [cell for cell in docs.load(result)["cells"] if cell["name"] == name]
    return cell["against_reference"]
