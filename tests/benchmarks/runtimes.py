"""What files for other runtimes lose and gain: `python -m tests.benchmarks.runtimes --model M --examples E`.

The Exporter converts a trained model in all formats and compares each file with the SavedModel, on the examples of
ESC-50. It does all of the work here; see `components.exporter.runtimes`.
"""

import argparse
import importlib.metadata
import json
import pathlib
import tempfile

from components.exporter import Exporter, ExporterConfig
from components.exporter.runtimes import variants
from tests.benchmarks import measuring
from tests.benchmarks.record import RESULTS
from tests.components import harness

_PACKAGES = ("ai-edge-litert", "onnxruntime", "tf2onnx")


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="a model's folder, written by the Trainer or by import-panns")
    parser.add_argument("--trained", required=True, help="what the model was trained on, in a few words")
    parser.add_argument("--examples", required=True, help="labeled examples, written by AudioExampleGen")
    parser.add_argument("--labels", default="ESC-50", help="what the examples are")
    parser.add_argument("--clips", type=int, default=2000, help="examples to compare with, a window each")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    flags = parser.parse_args()
    config = ExporterConfig(formats=("litert", "onnx"), parity_clips=flags.clips)
    with tempfile.TemporaryDirectory() as folder:
        run = harness.execute(Exporter(config), folder, model=flags.model, examples=flags.examples)
        figures = json.loads((run.outputs["saved_model"] / variants.FIGURES).read_text())
        blessing = json.loads((run.outputs["infra_blessing"] / "infra_blessing.json").read_text())
    described = {
        "trained": flags.trained,
        "labels": flags.labels,
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "failed": [name for name, check in blessing["checks"].items() if not check["passed"]],
    }
    measuring.save("runtimes", {**described, **figures}, results=flags.results)


if __name__ == "__main__":
    main()
