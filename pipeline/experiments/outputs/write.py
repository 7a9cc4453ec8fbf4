"""Writes the files of an experiment."""

from etils import epath

from beam_jobs import storage
from pipeline.experiments.outputs import hparams, plot, record, tables
from pipeline.experiments.results import Results


def write_tables(results: Results, folder: epath.Path) -> None:
    """Writes `table.md`, `table.csv` and `results.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    storage.write_text(folder / "table.md", tables.markdown(results))
    storage.write_text(folder / "table.csv", tables.comma_separated(results))
    storage.write_text(folder / "results.json", record.to_json(results))


def write_all(results: Results, folder: epath.Path) -> None:
    """Writes the same, `plot.png`, and `tensorboard/` with what tells the cells apart as hyper-parameters."""
    write_tables(results, folder)
    storage.write_bytes(folder / "plot.png", plot.draw(results))
    hparams.write(results, folder / "tensorboard")
