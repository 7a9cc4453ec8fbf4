"""Scores embeddings as the product does: windows are embedded, and the Evaluator's probes classify the clips."""

import dataclasses
import tempfile

from etils import epath

from beam_jobs import examples
from beam_jobs.embedding.embedder import Loader
from components.evaluator import EvaluatorConfig, evaluation, preparation
from components.evaluator.features import BOTH
from components.evaluator.probes.bootstrap import Interval
from components.evaluator.probes.others import Column
from tests.benchmarks.clips import embed
from tests.components.harness import RecordedProgress


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scores:
    """The accuracies of one set of features, each in cross-validation over the folds.

    Attributes:
        dims: Size of a vector.
        linear: Of the linear probe.
        linear_interval: Its 95 % interval over resampled test clips.
        knn: Of the nearest neighbors.
        few_shot: Of linear classifiers on 8 clips a class.
    """

    dims: int
    linear: float
    linear_interval: Interval
    knn: float
    few_shot: float


def score(loader: Loader, info: examples.ExamplesInfo) -> dict[str, Scores]:
    """Returns the scores of each encoder of a model and, if there are several, of all together ("both").

    Args:
        loader: Loads the model.
        info: The examples. Each clip has one label and a fold.
    """
    with tempfile.TemporaryDirectory() as folder:
        embeddings, config = embed(loader, info, folder=epath.Path(folder)), EvaluatorConfig(probe="linear")
        prepared = preparation.prepare(embeddings, config)
        report = evaluation.evaluate(embeddings, prepared, config, progress=RecordedProgress()).report
    knn: dict[str, Column] = dict(report.knn)
    names = [name for name in report.scores if name != BOTH or len(report.scores) > 2]
    return {
        name: Scores(
            dims=report.details["dims"][name],
            linear=report.scores[name],
            linear_interval=report.intervals[name],
            knn=knn[name].score,
            few_shot=report.few_shot[name].score,
        )
        for name in names
    }
