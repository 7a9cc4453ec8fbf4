"""Writes the results of benchmarks and runs into the documentation: `python -m tests.benchmarks.docs`.

A page shows a result between the markers `<!-- results:NAME -->` and `<!-- /results -->`. Every number between them
comes from a file in `results/`.
"""

import json
import pathlib
import re

from pipeline.experiments.outputs import plot
from tests.benchmarks import (
    chart,
    cost,
    experiment_plot,
    experiment_table,
    fine_tuning_table,
    formats_table,
    input_order_table,
    metadata_table,
    parity,
    probes_table,
    recipe_changes,
    serving_table,
    tables,
)
from tests.benchmarks.accelerator import plot as accelerator_plot
from tests.benchmarks.accelerator import table as accelerator_table
from tests.benchmarks.audioset import curves, prices
from tests.benchmarks.audioset import table as audioset_table
from tests.benchmarks.record import RESULTS
from tests.benchmarks.rivals import table as rivals_table

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = ("beam_jobs", "components", "deploy", "diptych", "models", "pipeline", "tests")
MARKED = re.compile(r"(<!-- results:(\w+) -->\n).*?(<!-- /results -->)", re.DOTALL)
RENDERERS = {
    "audioset": audioset_table.render,
    "tiny": tables.scores,
    "quickstart": tables.scores,
    "encoders": tables.encoders,
    "train_step": tables.train_step,
    "train_memory": tables.train_memory,
    "memory_estimate": tables.memory_estimate,
    "embed_memory": tables.embed_memory,
    "embedding": tables.embedding,
    "embedding_stage": tables.embedding_stage,
    "memory_pool": tables.memory_pool,
    "metadata": metadata_table.render,
    "probes": probes_table.render,
    "input_order": input_order_table.render,
    "fine_tuning": fine_tuning_table.render,
    "figure2": experiment_table.render,
    "figure2_curve": accelerator_table.render,
    "figure2_formats": experiment_table.render,
    "figure2_half_hour": experiment_table.render,
    "figure2_longer": experiment_table.render,
    "figure2_quickstart": experiment_table.render,
    "figure3": experiment_table.render_grid,
    "figure4": experiment_table.render_grid,
    "recipe": experiment_table.render,
    "recipe_esc50": experiment_table.render,
    "recipe_quickstart": experiment_table.render,
    "table1": experiment_table.render_grid,
    "table2": experiment_table.render_grid,
    "table3": experiment_table.render_beside_paper,
    "table4": experiment_table.render_beside_paper,
    "rivals": rivals_table.render,
    "runtimes": parity.render,
    "search": tables.search,
    "serving": serving_table.render,
    "validation_rank": tables.validation_rank,
}

PLOTS = ("figure2", "figure4", "recipe_esc50", "recipe_quickstart")
"""Results of experiments whose plots are shown."""


def pages() -> list[pathlib.Path]:
    """Returns the Markdown pages of the repository."""
    found = sorted(ROOT.glob("*.md"))
    for folder in FOLDERS:
        found += sorted((ROOT / folder).rglob("*.md"))
    return found


def fill(text: str, *, results: pathlib.Path = RESULTS) -> str:
    """Returns the text of a page with every marked block rendered from the result files."""
    return MARKED.sub(lambda match: match[1] + render(match[2], results=results) + match[3], text)


def render(name: str, *, results: pathlib.Path = RESULTS) -> str:
    """Renders one block as Markdown."""
    if name == "cost":
        return cost.render(load("ingest", results=results), stored=load("storage", results=results))
    if name == "audioset_cost":
        return prices.render(load("audioset", results=results), ingest=load("ingest", results=results))
    if name == "two_formats":
        return formats_table.render({one: load(one, results=results) for one in formats_table.RESULTS})
    if name in ("recipe_esc50_changes", "recipe_quickstart_changes"):
        return recipe_changes.render(load(name.removesuffix("_changes"), results=results))
    return RENDERERS[name](load(name, results=results))


def load(name: str, *, results: pathlib.Path = RESULTS) -> dict:
    """Reads a result file."""
    return json.loads((results / f"{name}.json").read_text())


def main() -> None:
    """Fills every page, and draws the charts."""
    for page in pages():
        text = page.read_text()
        filled = fill(text)
        if filled != text:
            page.write_text(filled)
            print(page.relative_to(ROOT))
    runs = [load("tiny"), load("quickstart")]
    chart.draw(runs).savefig(RESULTS / "scores.png", metadata={"Software": None})
    measured = [load(name) for name in ("figure2_formats", "figure2_longer", "figure2_half_hour")]
    longer = accelerator_plot.draw(load("figure2_curve"), measured)
    longer.savefig(RESULTS / "figure2_curve.png", metadata={"Software": None})
    for name in PLOTS:
        (RESULTS / f"{name}.png").write_bytes(plot.draw(experiment_plot.results_of(load(name))))
    curves.draw(load("audioset")).savefig(RESULTS / "audioset.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
