import itertools
import re
import statistics
from collections.abc import Sequence

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
    for comparison, values in zip(comparisons, wide, strict=True):
        if values:
            summary = intervals.summarize(values)
            assert (summary.mean > 0) == (not comparison.setting.startswith("4 min"))
            if summary.count > 1 and summary.low > 0:
                assert comparison.setting == "30 min, crops of 1 s"
    each = [list(by_seed.values()) for by_seed in neighbors if by_seed]
    assert all(0.025 < statistics.fmean(values) < 0.04 for values in each)
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


def test_the_results_state_what_twice_the_steps_give():
    def accuracies(name):
        """Returns the accuracy of the pair and of the wide encoder in percent, and the difference between them."""
        cells = {cell["name"]: cell for cell in docs.load(name)["cells"]}
        pair, wide = cells[formats_table.PAIR]["scores"]["both"], cells[formats_table.WIDE]["scores"]["log_mel"]
        return (
            100 * pair["trained"]["mean"],
            100 * wide["trained"]["mean"],
            cells[formats_table.WIDE]["against_reference"],
        )

    pair, wide, _ = accuracies("figure2_longer")
    longer_pair, longer_wide, behind = accuracies("figure2_half_hour")
    text = _words("pipeline/experiments/RESULTS.md")
    assert f"give the pair {longer_pair - pair:+.1f} points ({longer_pair:.1f} %)" in text
    assert f"the wide encoder {longer_wide - wide:+.1f} ({longer_wide:.1f} %)" in text
    interval = f"({-100 * behind['high']:+.1f} to {-100 * behind['low']:+.1f})"
    assert f"ahead by {longer_pair - longer_wide:.1f} points {interval}" in text
    assert behind["high"] < 0, "it is more than chance"


def test_the_results_state_what_the_cells_of_the_recipe_gain_on_esc50():
    result = docs.load("recipe_esc50")
    assert {len(cell["runs"]) for cell in result["cells"]} == {3}
    text = _words("pipeline/experiments/RESULTS.md")
    said = {
        "warm-temperature": "A *temperature that falls* gains {} points ({})",
        "no-mixing": "*no mixing* {} ({})",
        "decoupled": "the *decoupled* loss {} ({}).",
        "no-mixing+warm": "the temperature without mixing has {} points more than the reference ({})",
        "no-mixing+decoupled+warm": "and with the decoupled loss, too, {} ({}).",
        "conv2560": "{} points are lost ({})",
    }
    for cell in result["cells"][1:]:
        gains = recipe_changes.gains(result, [("reference", cell["name"])], features="both")
        _check_said(said.get(cell["name"]), gains, text=text)
    assert all(gain > 0 for gain in recipe_changes.gains(result, [("reference", "growing-mixing")], features="both"))
    tiny = "all+no-mixing+res1dnet31"
    of_tiny = intervals.summarize(recipe_changes.gains(result, [("reference", tiny)], features="both"))
    ends = f"{100 * of_tiny.low:+.1f} to {100 * of_tiny.high:+.1f}"
    assert (
        f"`{tiny}`, have {100 * of_tiny.mean:.1f} points more than the reference, which is not sure ({ends})." in text
    )
    warm = statistics.fmean(recipe_changes.gains(result, [(tiny, f"{tiny}+warm")], features="both"))
    assert f"the temperature gains nothing: {-100 * warm:.1f} points less on average here" in text


def test_the_results_state_what_changes_give_over_all_cells_on_esc50():
    result = docs.load("recipe_esc50")
    text = _words("pipeline/experiments/RESULTS.md")
    said = {"no-mixing": "*no mixing* gains {} points ({}), and", "conv2560": "*`conv2560`* loses {} ({})."}
    for change, pairs in recipe_changes.pairs_of_cells(result).items():
        if len(pairs) > 1:
            _check_said(said.get(change), recipe_changes.gains(result, pairs, features="both"), text=text)


def test_the_results_state_which_encoder_of_the_waveform_is_best_by_itself_on_esc50():
    result = docs.load("recipe_esc50")
    text = _words("pipeline/experiments/RESULTS.md")
    said = {
        ("melbank", "waveform"): "is the best one by itself: it is {} points ahead ({})",
        ("res1dnet31", "waveform"): "*Res1dNet31* is {} points worse ({})",
    }
    pairs = recipe_changes.pairs_of_cells(result)
    for encoder, features in itertools.product(("melbank", "res1dnet31"), ("both", "waveform")):
        gains = recipe_changes.gains(result, pairs[encoder], features=features)
        _check_said(said.get((encoder, features)), gains, text=text)
    untrained = {cell["name"]: cell["scores"]["waveform"]["untrained"]["mean"] for cell in result["cells"]}
    assert f"and was {100 * (untrained['melbank'] - untrained['reference']):.1f} ahead with initial weights." in text


def _check_said(sentence: str | None, gains: Sequence[float], *, text: str) -> None:
    """Checks that a gain is stated with its interval, without a sign, if the interval excludes zero, and only then."""
    summary = intervals.summarize(gains)
    assert (summary.low > 0 or summary.high < 0) == (sentence is not None)
    if sentence is not None:
        low, high = sorted(abs(100 * end) for end in (summary.low, summary.high))
        assert sentence.format(f"{abs(100 * summary.mean):.1f}", f"{low:.1f} to {high:.1f}") in text


def _words(page):
    """Returns the text of a page, whatever its lines."""
    return " ".join((docs.ROOT / page).read_text().split())
