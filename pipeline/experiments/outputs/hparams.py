"""Writes the trainings for TensorBoard's HParams tab: what tells the cells apart, and their scores."""

import time

from etils import epath
from tensorboard.compat.proto import summary_pb2
from tensorboard.plugins.hparams import metadata, plugin_data_pb2
from tensorboard.plugins.hparams import summary_v2 as hparams
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.scalar import summary_v2 as scalars

from beam_jobs import storage
from pipeline import event_file
from pipeline.experiments.results import CellResult, Results, SeedResult

_SCORE = "score/"


def write(results: Results, folder: epath.Path) -> None:
    """Writes a run for each training that has finished, in place of all that were written before."""
    storage.remove_tree(folder)
    names = sorted({name for result in results.cells.values() for name in _fields(result)})
    features = sorted({name for result in results.cells.values() for name in result.feature_sets})
    config = hparams.hparams_config_pb(
        hparams=[hparams.HParam(name) for name in ("cell", *names, "seed")],
        metrics=[hparams.Metric(_SCORE + name, display_name=f"{name}, {results.metric}") for name in features],
        time_created_secs=time.time(),
    )
    event_file.write_summaries(folder, [(0, config)])
    for result in results.cells.values():
        for run in result.runs:
            if run.evaluated is not None:
                place = folder / result.cell.name / f"seed-{run.seed}"
                event_file.write_summaries(place, _summaries(result, run, names))


def _summaries(result: CellResult, run: SeedResult, names: list[str]) -> list[tuple[int, summary_pb2.Summary]]:
    fields = _fields(result)
    values = {"cell": result.cell.name, **{name: str(fields.get(name, "as in the preset")) for name in names}}
    started = hparams.hparams_pb({**values, "seed": run.seed}, trial_id=f"{result.cell.name} {run.seed}")
    scores = [(run.trained_steps, scalars.scalar_pb(_SCORE + name, run.scores[name])) for name in result.feature_sets]
    return [(0, started), *scores, (0, _end())]


def _end() -> summary_pb2.Summary:
    """Returns the end of a training. TensorBoard's own function for it imports TensorFlow."""
    end = plugin_data_pb2.SessionEndInfo(status=Status.STATUS_SUCCESS, end_time_secs=time.time())
    described = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=end))
    value = summary_pb2.Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=described)
    return summary_pb2.Summary(value=[value])


def _fields(result: CellResult) -> dict[str, object]:
    return {**result.cell.fields, **result.cell.shares}
