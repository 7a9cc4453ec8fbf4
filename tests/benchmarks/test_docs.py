import re

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


def test_the_readme_states_the_scores_of_other_seeds():
    (pair,) = docs.load("figure2_quickstart")["cells"]
    said = [("with the waveform encoder", "waveform"), ("with the log-mel encoder", "log_mel"), ("with both", "both")]
    text = " ".join((docs.ROOT / "README.md").read_text().split())
    for words, features in said:
        trained, untrained = pair["scores"][features]["trained"], pair["scores"][features]["untrained"]
        interval = f"{trained['low']:.3f} to {trained['high']:.3f}"
        assert re.search(rf"{trained['mean']:.3f}( on average)? {words} \((95 % interval )?{interval}", text)
        assert f"{interval}; untrained {untrained['mean']:.3f})" in text
    assert len(pair["runs"]) == 5


def test_the_experiments_page_states_the_curve():
    at = {(cell["name"], cell["minutes"]): cell for cell in docs.load("figure2_curve")["cells"]}
    wide = {minutes: at["log_mel-wide", minutes]["scores"]["log_mel"]["linear"]["mean"] for minutes in (15, 60, 120)}
    pair = {minutes: at["waveform+log_mel", minutes] for minutes in (15, 60)}
    text = " ".join((docs.ROOT / "pipeline/experiments/README.md").read_text().split())
    assert f"from {100 * wide[15]:.1f} % after 15 minutes to {100 * wide[120]:.1f} % after 120" in text
    assert f"The pair has {100 * pair[15]['scores']['both']['linear']['mean']:.1f} % after 15 minutes" in text
    (long,), seeds = pair[60]["linear_of_seeds"], at["log_mel-wide", 60]["seeds"]
    same_seed = at["log_mel-wide", 60]["linear_of_seeds"][seeds.index(pair[60]["seeds"][0])]
    assert f"and {100 * long:.1f} % after 60, {100 * (long - same_seed):.1f} points more" in text
    tiny = docs.load("tiny")
    (trainer,) = [stage for stage in tiny["stages"] if stage["stage"] == "Trainer"]
    score = 100 * tiny["evaluation"]["scores"]["both"]
    assert f"which took {trainer['figures']['cpu_s'] / 60:.0f} minutes of processor time, has {score:.1f} %" in text


def test_the_experiments_page_states_what_the_changes_of_the_recipe_gain():
    gains = {cell["name"]: cell["against_reference"] for cell in docs.load("recipe_short")["cells"]}
    gain = {name: f"{100 * abs(summary['mean']):.1f}" for name, summary in gains.items() if summary}
    text = " ".join((docs.ROOT / "pipeline/experiments/README.md").read_text().split())
    assert f"the small pair is {gain['no-mixing']} points better; with Res1dNet31 {gain['res1dnet31']}, and" in text
    assert f"with all changes of `tiny` {gain['all+no-mixing+res1dnet31']}." in text
    assert f"lose {gain['conv1280']} and {gain['conv2560']} points" in text
    for cell in docs.load("recipe_more")["cells"]:
        if cell["against_reference"]:
            assert f" {100 * cell['against_reference']['mean']:+.1f}" in text[text.index("In points: ") :], cell["name"]


def _against(result, name):
    """Returns by how much a cell is better than the pair."""
    (cell,) = [cell for cell in docs.load(result)["cells"] if cell["name"] == name]
    return cell["against_reference"]
