"""Draws the scores of the recorded runs as a bar chart, a panel for each run."""

from matplotlib.figure import Figure

from tests.benchmarks.tables import score_text

_INK, _TRAINED, _UNTRAINED, _BASELINE = "#333333", "#2a6f97", "#a9d6e5", "#bbbbbb"
_TITLES = {"tiny": "ESC-50, 50 classes", "quickstart": "generated corpus, 16 classes"}
_LABELS = {"waveform": "waveform", "log_mel": "log-mel", "both": "both"}


def draw(results: list[dict]) -> Figure:
    """Draws the result files of `record`."""
    figure = Figure(figsize=(9, 3.2), dpi=150, layout="constrained")
    panels = figure.subplots(1, len(results), squeeze=False)[0]
    for axes, result in zip(panels, results, strict=True):
        scores, metric = result["evaluation"]["scores"], result["evaluation"]["metric"]
        names, heights, colors = ["MFCC\nmean+std"], [scores["mfcc_mean_std"]], [_BASELINE]
        for name, label in _LABELS.items():
            names += [f"{label}\nuntrained", label]
            heights += [scores[f"untrained/{name}"], scores[name]]
            colors += [_UNTRAINED, _TRAINED]
        bars = axes.bar(names, heights, color=colors)
        axes.bar_label(bars, labels=[score_text(height, metric) for height in heights], fontsize=7, color=_INK)
        axes.set_title(f"{_TITLES[result['preset']]}: {metric} of a probe", fontsize=9, color=_INK)
        axes.set_ylim(0, 1.05)
        axes.tick_params(labelsize=6.5, colors=_INK)
        axes.spines[["top", "right"]].set_visible(False)
    return figure
