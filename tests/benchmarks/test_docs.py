import re
import statistics

import pytest

from pipeline.experiments import intervals
from tests.benchmarks import docs, formats_table, recipe_changes

PAGES = [page.relative_to(docs.ROOT).as_posix() for page in docs.pages()]
CHANGES = {"recipe_esc50_changes", "recipe_quickstart_changes"}
BLOCKS = {*docs.RENDERERS, *CHANGES, "audioset_cost", "cost", "two_formats"}


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


def test_two_formats_beat_a_narrow_one_and_a_wide_one_only_by_nearest_neighbors():
    """What README.md and RESULTS.md say."""
    *comparisons, _ = formats_table.comparisons({name: docs.load(name) for name in formats_table.RESULTS})
    narrow, wide, neighbors = [], [], []
    for comparison in comparisons:
        narrow.append(list(formats_table.ahead(comparison.linear, formats_table.ONE).values()))
        wide.append(list(formats_table.ahead(comparison.linear, formats_table.WIDE).values()))
        neighbors.append(formats_table.ahead(comparison.knn, formats_table.WIDE))
    assert all(0.015 < statistics.fmean(values) < 0.035 for values in narrow if values)
    assert {statistics.fmean(values) > 0 for values in wide if values} == {True, False}
    each = [list(by_seed.values()) for by_seed in neighbors if by_seed]
    assert all(0.03 < statistics.fmean(values) < 0.04 for values in each)
    assert all(intervals.summarize(values).low < 0 for values in each)
    assert intervals.summarize(formats_table.mean_of_seeds(neighbors)).low > 0
    on_accelerator = {
        (cell["name"], cell["minutes"]): list(cell["scores"].values())[-1]["knn"]["mean"]
        for cell in docs.load("figure2_curve")["cells"]
    }
    for minutes in (15, 60):
        pair, one = (on_accelerator[name, minutes] for name in (formats_table.PAIR, formats_table.WIDE))
        assert pair - one == pytest.approx(0.015, abs=0.001)


def test_two_formats_are_compared_seed_by_seed():
    cells = {"waveform+log_mel": {0: 0.5, 1: 0.7}, "log_mel": {1: 0.6, 2: 0.9}}
    assert formats_table.ahead(cells, "log_mel") == {1: pytest.approx(0.1)}
    assert formats_table.ahead(cells, "log_mel-wide") == {}
    assert formats_table.mean_of_seeds([{0: 0.1, 1: 0.2}, {}, {1: 0.4}]) == pytest.approx([0.1, 0.3])


def test_rivals_that_end_behind_their_initial_weights():
    """What RESULTS.md says of COLA and BYOL-A."""
    means = {
        name: contender["means"]["log_mel"]
        for name, contender in docs.load("rivals")["contenders"].items()
        if "log_mel" in contender["means"]
    }
    behind = {
        (name, column)
        for name in ("cola", "byol_a", "cola_wide", "byol_a_wide")
        for column in ("linear", "knn")
        if means[name][column][0] < means["untrained_wide" if name.endswith("_wide") else "untrained"][column][0]
    }
    assert behind == {
        ("cola", "linear"),
        ("cola", "knn"),
        ("byol_a", "knn"),
        ("cola_wide", "linear"),
        ("cola_wide", "knn"),
        ("byol_a_wide", "linear"),
        ("byol_a_wide", "knn"),
    }


def test_the_cells_of_the_recipe_in_which_both_encoders_learn():
    """What RESULTS.md says of the recipe on the generated corpus."""
    cells = {cell["name"]: cell["runs"] for cell in docs.load("recipe_quickstart")["cells"]}
    assert {len(runs) for runs in cells.values()} == {3}

    def learns(name, features):
        gains = [run["scores"][features] - run["scores"][f"untrained/{features}"] for run in cells[name]]
        return intervals.summarize(gains).low > 0

    both = {name for name in cells if learns(name, "waveform") and learns(name, "log_mel")}
    assert both == {name for name in cells if "res1dnet31" in name} | {"all+no-mixing+conv2560"}
    assert len(both) == 4
    means = {name: statistics.fmean(run["scores"]["both"] for run in runs) for name, runs in cells.items()}
    assert max(means, key=means.get) == "all+no-mixing+conv2560"


def test_the_changes_of_the_recipe_that_help_or_harm_on_the_generated_corpus():
    """What RESULTS.md says of them, one by one."""
    result = docs.load("recipe_quickstart")
    assert all(
        cell["against_reference"]["low"] < 0 < cell["against_reference"]["high"]
        for cell in result["cells"]
        if cell["name"] != "reference"
    )
    shown = {}
    for change, pairs in recipe_changes.pairs_of_cells(result).items():
        for features in recipe_changes.FEATURES:
            summary = intervals.summarize(recipe_changes.gains(result, pairs, features=features))
            if summary.low > 0 or summary.high < 0:
                shown[change, features] = round(summary.mean, 2)
    assert shown == {("all", "both"): 0.02, ("all", "waveform"): 0.06, ("waveform-rate-3", "waveform"): -0.21}
    melbank = recipe_changes.pairs_of_cells(result)["melbank"]
    behind = [recipe_changes.gains(result, [pair], features="both") for pair in melbank]
    assert [max(of_pair) < 0 for of_pair in behind] == [True] * 3


def test_the_cells_that_differ_by_one_change():
    names = ["reference", "all", "no-mixing", "all+no-mixing", "all+no-mixing+conv2560", "warm-temperature"]
    names += ["all+no-mixing+warm"]
    runs = [{"seed": seed, "scores": {"both": seed / 10}} for seed in (0, 1)]
    result = {"cells": [{"name": name, "runs": runs} for name in names]}
    result["cells"][1]["runs"] = [{"seed": 1, "scores": {"both": 0.5}}, {"seed": 2, "scores": {"both": 0.9}}]
    pairs = recipe_changes.pairs_of_cells(result)
    assert {change: set(of_change) for change, of_change in pairs.items()} == {
        "all": {("reference", "all"), ("no-mixing", "all+no-mixing")},
        "no-mixing": {("reference", "no-mixing"), ("all", "all+no-mixing")},
        "conv2560": {("all+no-mixing", "all+no-mixing+conv2560")},
        "warm": {("reference", "warm-temperature"), ("all+no-mixing", "all+no-mixing+warm")},
    }
    both = [("reference", "all"), ("no-mixing", "all+no-mixing")]
    assert recipe_changes.gains(result, both[:1], features="both") == pytest.approx([0.4])  # Of seed 1.
    assert recipe_changes.gains(result, both, features="both") == pytest.approx([0.2])


def test_the_readme_states_the_scores_of_other_seeds():
    (pair,) = docs.load("figure2_quickstart")["cells"]
    said = [("with the waveform encoder", "waveform"), ("with the log-mel encoder", "log_mel"), ("with both", "both")]
    text = _words("README.md")
    for words, features in said:
        trained, untrained = pair["scores"][features]["trained"], pair["scores"][features]["untrained"]
        interval = f"{trained['low']:.3f} to {trained['high']:.3f}"
        assert re.search(rf"{trained['mean']:.3f}( on average)? {words} \((95 % interval )?{interval}", text)
        assert f"{interval}; untrained {untrained['mean']:.3f})" in text
    assert len(pair["runs"]) == 5


def test_the_results_state_the_curve():
    wide = {
        cell["minutes"]: cell["scores"]["log_mel"]["linear"]["mean"]
        for cell in docs.load("figure2_curve")["cells"]
        if cell["name"] == "log_mel-wide"
    }
    shown = {minutes: f"{100 * accuracy:.1f} %" for minutes, accuracy in wide.items()}
    text = _words("pipeline/experiments/RESULTS.md")
    assert f"from {shown[15]} after 15 minutes to {shown[60]} after 60;" in text
    assert f"no sure gain ({shown[120]})" in text


def test_the_results_state_what_the_changes_of_the_recipe_gain_on_esc50():
    result = docs.load("recipe_esc50")
    assert {len(cell["runs"]) for cell in result["cells"]} == {3}
    text = _words("pipeline/experiments/RESULTS.md")
    said = {
        ("warm", "both"): "gains {} points ({}), and both encoders gain from it, the waveform's most.",
        ("warm", "waveform"): "",
        ("warm", "log_mel"): "",
        ("no-mixing", "both"): "*No mixing* gains {} ({})",
        ("no-mixing", "log_mel"): "",
        ("decoupled", "both"): "the *decoupled* loss {} ({}).",
        ("conv2560", "both"): "{} points are lost ({})",
        ("conv2560", "waveform"): "",
        ("res1dnet31", "waveform"): "its own waveform encoder is worse by {} points ({})",
    }
    for change, pairs in recipe_changes.pairs_of_cells(result).items():
        for features in recipe_changes.FEATURES:
            summary = intervals.summarize(recipe_changes.gains(result, pairs, features=features))
            assert (summary.low > 0 or summary.high < 0) == ((change, features) in said), (change, features)
            if (change, features) in said:
                low, high = sorted(abs(100 * end) for end in (summary.low, summary.high))
                sentence = said[change, features].format(f"{abs(100 * summary.mean):.1f}", f"{low:.1f} to {high:.1f}")
                assert sentence in text, sentence
    assert all(gain > 0 for gain in recipe_changes.gains(result, [("reference", "growing-mixing")], features="both"))


def test_the_results_state_what_single_trainings_of_the_recipe_gain():
    gains = {
        name: {cell["name"]: 100 * cell["against_reference"]["mean"] for cell in docs.load(name)["cells"][1:]}
        for name in ("recipe_esc50", "recipe_short", "recipe_more")
    }
    text = _words("pipeline/experiments/RESULTS.md")
    with_seeds, short, more = gains.values()
    largest = max(abs(one[name] - with_seeds[name]) for one in (short, more) for name in one if name in with_seeds)
    assert f"differs from the above by up to {largest:.1f} points." in text
    change = f"has {short['all+no-mixing+res1dnet31']:.1f} points more; Conv1280 loses {-short['conv1280']:.1f}."
    assert f"With all changes of `tiny`, the small pair {change}" in text
    mixing = f"all four pairs without mixing {more['all+no-mixing']:.1f}."
    assert f"`melbank` has {more['melbank']:.1f} points more than that, and {mixing}" in text


def _words(page):
    """Returns the text of a page, whatever its lines."""
    return " ".join((docs.ROOT / page).read_text().split())
