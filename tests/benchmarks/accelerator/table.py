"""Renders the curve over compute as Markdown."""

from pipeline.experiments.intervals import Summary
from pipeline.experiments.outputs import wording
from tests.benchmarks.tables import paragraph, table, where

_FEATURES = {"waveform": "waveform", "log_mel": "log-mel", "both": "both"}


def render(result: dict) -> str:
    """Renders a row for each set of features of each cell and budget."""
    header = ["cell", "CPU min", "steps", "features", "linear", "95 % interval", "k-NN", "8-shot", "seeds"]
    rows = []
    for cell in result["cells"]:
        of_cell = [cell["name"], str(cell["minutes"]), f"{cell['steps']:,}"]
        for number, (features, columns) in enumerate(cell["scores"].items()):
            linear, knn, few_shot = (Summary(**columns[name]) for name in ("linear", "knn", "few_shot"))
            rows.append(
                [
                    *(["", "", ""] if number else of_cell),
                    _FEATURES[features],
                    wording.score(linear, percent=True),
                    wording.interval(linear, percent=True),
                    wording.score(knn, percent=True),
                    wording.score(few_shot, percent=True),
                    "" if number else str(linear.count),
                ]
            )
    return table(header, rows) + "\n" + _note(result)


def _note(result: dict) -> str:
    devices = " or ".join(sorted({device for cell in result["cells"] for device in cell["devices"]}))
    return paragraph(
        f"`python -m tests.benchmarks.accelerator.train`: trained with Keras on JAX on one {devices}, in TF32, about "
        f"as many steps as `diptych ablate` gives the cell for that processor time, on all {result['clips']:,} clips "
        f"of {result['corpus']}. The last weights are scored, and not the best by validation: accuracy of the linear "
        "probe, of the nearest neighbors and of linear classifiers on 8 clips a class; mean ± standard deviation over "
        f"the seeds, and Student's interval of the mean. Scored on {where(result)}"
    )
