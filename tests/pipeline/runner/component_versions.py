"""`python -m tests.pipeline.runner.component_versions`: records the present code of each component under its version.

Run it when the code of a component has changed, after you have decided whether its outputs change. If they do, raise
`version` in its `component.py` first.
"""

import json
import pathlib

from components.base import Component
from components.importer import Importer, ImporterConfig
from pipeline import dag, digests
from pipeline.configs import presets
from pipeline.runner import code

FILE = pathlib.Path(__file__).with_name("component_versions.json")
COMMAND = f"python -m {__spec__.name}"


def components() -> list[Component]:
    """Returns each component of the pipeline, the Importer included."""
    pipeline = dag.create_pipeline(presets.config("quickstart"))
    return [*(node.component for node in pipeline.nodes), Importer(ImporterConfig(model="model"))]


def present(component: Component) -> dict[str, int | str]:
    """Returns the version of a component and a digest of its code."""
    return {"version": component.version, "code": digests.json_digest(code.digests(component))}


def recorded() -> dict[str, dict[str, int | str]]:
    """Returns what `present` returned for each component when the file was written."""
    return json.loads(FILE.read_text())


def main() -> None:
    # A line per component, so that branches that change different components merge.
    lines = [f'"{component.name}": {json.dumps(present(component))}' for component in components()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
