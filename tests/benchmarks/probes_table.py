"""Renders the result of `tests.benchmarks.probes` as Markdown."""

from tests.benchmarks import tables

_PARTS = {
    "read_clips_s": "read the columns of all clips but their vectors",
    "pass_s": "one pass of the probe over three sets of features, and classify the eval split",
    "intervals_s": "intervals of 1,000 resamplings",
    "comparison_s": "differences to a baseline, with intervals",
    "knn_few_shot_retrieval_s": "k-NN, retrieval, {draws} of 10 draws of 8-shot, on samples of up to 20,000 clips",
}


def render(result: dict) -> str:
    """Renders time and memory of an evaluation at AudioSet's size, of the linear probe, and of the metrics."""
    audioset, linear, metrics = result["audioset"], result["linear"], result["metrics"]
    rows = [[text.format(draws=audioset["few_shot_draws"]), f"{audioset[name]:,.3g}"] for name, text in _PARTS.items()]
    rows.append(["peak memory, MiB", f"{audioset['peak_mib']:,}"])
    by_dim = [f"{row['seconds']:,.0f} s with {int(dim):,} dimensions" for dim, row in linear["dims"].items()]
    note = (
        f"Simulated: {audioset['rows']:,} training clips, two embeddings of 2,048 random elements, labels drawn by the "
        f"class sizes of AudioSet. A pass over {audioset['all_rows']:,} would take "
        f"{audioset['pass_over_all_rows_h']:g} hours; the other parts do not grow with the training clips, apart from "
        f"the first. The linear probe at the size of ESC-50 ({linear['clips']:,} clips, {linear['windows']:,} "
        f"sub-clips, {linear['strengths']} strengths, 5 folds) takes "
        f"{' and '.join(by_dim)}. "
        f"Average precisions of {metrics['clips']:,} clips and {metrics['classes']} classes take "
        f"{metrics['average_precisions_s']:g} s, and the areas under the ROC curve {metrics['areas_s']:g} s; both take "
        f"{metrics['scikit_learn_s']:,.0f} s with scikit-learn, and differ from it by at most "
        f"{metrics['largest_difference']:.0e}. Measured on {tables.where(result)}"
    )
    return tables.table(["", "seconds"], rows) + "\n" + tables.paragraph(note)
