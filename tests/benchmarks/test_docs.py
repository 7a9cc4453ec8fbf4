import dataclasses
import re

import pytest

from pipeline.experiments import intervals
from tests.benchmarks import docs
from tests.benchmarks.rivals import table as rivals_table

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
    text = " ".join((docs.ROOT / "README.md").read_text().split())
    alone, wide = (
        [_ahead(_against(result, name)) for result in ("figure2_formats", "figure2_longer")]
        for name in ("log_mel", "log_mel-wide")
    )
    first = alone[0].replace(" (", " points (95 % interval ")
    assert f"alone by {first} after 4 minutes and by {alone[1]} after 15." in text
    assert f"they are ahead by {wide[0]} and by {wide[1]}." in text


def test_the_experiments_page_states_the_differences_between_two_formats_and_one():
    text = (docs.ROOT / "pipeline/experiments/README.md").read_text()
    results = (
        ("first", "figure2", "2.5 s", 15),
        ("second", "figure2_formats", "1 s", 4),
        ("third", "figure2_longer", "1 s", 15),
    )
    for number, result, crops, minutes in results:
        cells = {cell["name"]: cell for cell in docs.load(result)["cells"]}
        others = [name for name in ("log_mel", "log_mel-wide") if name in cells]
        by_neighbors = {name: _ahead(_by_neighbors(cells["waveform+log_mel"], cells[name])) for name in others}
        by_probe = {name: _ahead(cells[name]["against_reference"]) for name in others}
        columns = [scores.get(name, "") for scores in (by_probe, by_neighbors) for name in ("log_mel", "log_mel-wide")]
        assert f"| {number}: {crops}, {minutes} minutes | {' | '.join(columns)} |" in text


def test_the_pages_state_the_differences_to_other_methods():
    rivals = docs.load("rivals")["contenders"]
    rows = {row[0]: row[1:] for row in rivals_table.differences(rivals)}
    columns = [rows[name][column] for column in (0, 1) for name in ("SimCLR", "SimCLR, wide")]
    row = " | ".join(column.replace("+", "").removesuffix(" points") for column in columns)
    text = (docs.ROOT / "pipeline/experiments/README.md").read_text()
    assert f"1 s, 4 minutes of one core | {row} |" in text
    seeds = len(rivals["simclr_wide"]["by_seed"])
    assert seeds == len(rivals["diptych"]["by_seed"]) == 5
    behind, low, high = (-float(number) for number in re.findall(r"[+-][\d.]+", rows["SimCLR, wide"][0]))
    assert 0 < high < behind < low
    page = " ".join((docs.ROOT / "components/trainer/README.md").read_text().split())
    assert f"they are {behind} points behind ({high} to {low}, five seeds)" in page
    assert f"By the nearest neighbors they are {rows['SimCLR, wide'][1].split()[0][1:]} points ahead" in page
    ahead = rows["SimCLR"][0].replace("+", "").replace(" (", " points ahead (").removesuffix(" points")
    assert f"half as many, they are {ahead} by the linear probe" in page
    text = " ".join((docs.ROOT / "README.md").read_text().split())
    assert f"with five seeds of 4 minutes, they are [{behind} points behind]" in text
    assert f"({high} to {low}). So not at this scale" in text


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
    ahead = 100 * (pair[15]["scores"]["both"]["linear"]["mean"] - wide[15])
    assert f"At 15 minutes, with three seeds, the pair is {ahead:.1f} points ahead" in text


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


def _by_neighbors(pair, cell):
    """Returns the same by the nearest neighbors."""
    ours = {run["seed"]: run["knn"]["both"]["score"] for run in pair["runs"]}
    theirs = {run["seed"]: run["knn"]["log_mel"]["score"] for run in cell["runs"]}
    assert ours.keys() == theirs.keys()
    return dataclasses.asdict(intervals.summarize([theirs[seed] - ours[seed] for seed in ours]))


def _ahead(against):
    """Returns by how much the pair is better, e.g. "1.9 (-0.6 to 4.4)" points."""
    return f"{-100 * against['mean']:.1f} ({-100 * against['high']:.1f} to {-100 * against['low']:.1f})"
