"""Renders how files for other runtimes compare with the SavedModel."""

from tests.benchmarks import tables

_NAMES = {"litert": "LiteRT", "onnx": "ONNX"}
_PRECISIONS = {"fp32": "float32", "fp16": "float16 weights", "int8": "dynamic int8"}


def render(result: dict) -> str:
    """Renders the rows of the Exporter's table."""
    header = ["file", "cosine, mean", "cosine, lowest", "probe points lost", "MB", "ms a window, one core"]
    rows = [
        [
            _name(row["name"]),
            f"{row['mean_cosine']:.5f}",
            f"{row['lowest_cosine']:.5f}",
            f"{round(row['probe_points_lost'], 1) + 0.0:.1f}",
            f"{row['megabytes']:.2f}",
            f"{row['ms_per_window']:.1f}",
        ]
        for row in result["rows"]
    ]
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in result["packages"].items())
    (reference,) = (row for row in result["rows"] if row["name"] == "saved_model")
    note = (
        f"{result['windows']:,} windows of {result['labels']}, one at a time, embedded by {result['trained']}. A "
        f"linear probe on the SavedModel's embeddings classifies {100 * reference['probe_score']:.1f} % of the windows "
        f"right, each by a probe of all others. Measured on {machine['cores']} cores ({machine['cpu']}), TensorFlow "
        f"{machine['tensorflow']}, {versions}, {result['date']}."
    )
    return tables.table(header, rows) + "\n" + tables.paragraph(note)


def _name(row: str) -> str:
    if row == "saved_model":
        return "SavedModel"
    runtime, precision = row.split("_")
    return f"{_NAMES[runtime]}, {_PRECISIONS[precision]}"
