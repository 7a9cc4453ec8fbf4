"""Writes the files of an experiment."""

import json
from collections.abc import Mapping

from etils import epath

from beam_jobs import storage
from pipeline.experiments.outputs import hparams, plot, record, tables
from pipeline.experiments.results import Results


def write_tables(results: Results, folder: epath.Path) -> None:
    """Writes `table.md`, `table.csv` and `results.json`.

    It removes the plot and the runs for TensorBoard if they are of other settings, such as another budget: if the
    command is killed before `write_all`, they would stand beside tables that they do not belong to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not _has_settings(folder / "results.json", results.settings):
        (folder / "plot.png").unlink(missing_ok=True)
        storage.remove_tree(folder / "tensorboard")
    storage.write_text(folder / "table.md", tables.markdown(results))
    storage.write_text(folder / "table.csv", tables.comma_separated(results))
    storage.write_text(folder / "results.json", record.to_json(results))


def write_all(results: Results, folder: epath.Path) -> None:
    """Writes the same, `plot.png`, and `tensorboard/` with what tells the cells apart as hyper-parameters."""
    write_tables(results, folder)
    storage.write_bytes(folder / "plot.png", plot.draw(results))
    hparams.write(results, folder / "tensorboard")


def _has_settings(file: epath.Path, settings: Mapping[str, object]) -> bool:
    """Returns whether `results.json` is there, and was written with these settings, such as the preset."""
    try:
        content = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return False
    return isinstance(content, dict) and all(content.get(name) == value for name, value in settings.items())
