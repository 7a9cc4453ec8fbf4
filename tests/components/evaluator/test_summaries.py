import numpy as np
import pytest
import sklearn.metrics
from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from components.evaluator import summaries
from components.evaluator.clips import Clips
from components.evaluator.evaluation import Evaluation
from components.evaluator.probes.result import ProbeResult
from components.evaluator.report import Report
from components.evaluator.summaries import classes, confusion, pr_curves
from tests import tensorboard_server


@given(seed=st.integers(0, 1000), clips=st.integers(1, 60), levels=st.integers(1, 20), points=st.integers(2, 30))
def test_a_curve_agrees_with_scikit_learn_at_every_recall(seed, clips, levels, points):
    rng = np.random.default_rng(seed)
    targets = rng.random(clips) < rng.random()
    targets[0] = True
    scores = rng.integers(0, levels, clips).astype(float)  # Many are equal.
    curve = pr_curves.counts(targets, scores, points=points)
    precision, recall, _ = sklearn.metrics.precision_recall_curve(targets, scores)
    for index, wanted in enumerate(np.linspace(1, 0, points)[:-1]):
        place = np.flatnonzero(recall >= wanted - 1e-12)[-1]  # That of the highest threshold.
        assert curve.recall[index] == pytest.approx(recall[place])
        assert curve.precision[index] == pytest.approx(precision[place])
    assert (curve.recall[-1], curve.precision[-1]) == (0, 1)
    for count in curve:
        assert count.min() >= 0
    np.testing.assert_allclose(curve.true_positives + curve.false_negatives, targets.sum())
    np.testing.assert_allclose(curve.false_positives + curve.true_negatives, (~targets).sum())


def test_scores_of_classes_without_training_clips_are_the_lowest():
    curve = pr_curves.counts(np.array([True, False, True]), np.array([-np.inf, 1.0, 2.0]), points=3)
    assert curve.recall.tolist() == [1, 0.5, 0]
    assert curve.precision.tolist() == [2 / 3, 1, 1]


def class_scores(scores, **fields):
    count = len(scores)
    return classes.ClassScores(
        **{
            "metric": "average precision",
            "names": [f"class {k}" for k in range(count)],
            "scores": scores,
            "untrained": [None if score is None else score / 2 for score in scores],
            "all_clips": [10 * k for k in range(count)],
            "test_clips": list(range(count)),
            **fields,
        }
    )


def test_the_table_of_classes_has_their_numbers_of_clips():
    table = classes.table(class_scores([0.5, None, 0.75], names=["a|b", "c", "d"])).splitlines()[2:]
    assert table == [
        "| d | 0.750 | 0.375 | 20 | 2 |",
        "| a\\|b | 0.500 | 0.250 | 0 | 0 |",
        "| c |  |  | 10 | 1 |",
    ]


def test_a_long_table_says_what_it_leaves_out():
    scores = np.random.default_rng(0).random(1500).tolist()
    lines = classes.table(class_scores(scores, untrained=None)).splitlines()
    assert lines[0] == "The first 1,000 of 1,500"
    assert len(lines) == 1004


@pytest.mark.parametrize("count", [1, 527])
def test_the_picture_of_classes_has_a_bounded_height(count):
    image = classes.bars(class_scores(np.linspace(0, 1, count).tolist(), names=["$x$ " * 20] * count))
    assert image.shape[0] == 1
    assert image.shape[1] < 1600


def test_confusions_are_counted_by_true_and_predicted_class():
    labels, predictions = np.array([0, 0, 0, 1, 2]), np.array([0, 1, 1, 1, 0])
    counts = confusion.matrix(labels, predictions, classes=4)
    np.testing.assert_array_equal(
        counts[:3, :3], sklearn.metrics.confusion_matrix(labels, predictions, labels=[0, 1, 2])
    )
    table = confusion.table(counts, names=["a", "b", "c", "d"]).splitlines()[2:]
    assert table == ["| a | b | 2 of 3 |", "| c | a | 1 of 1 |"]
    assert confusion.table(np.diag([1, 2]), names=["a", "b"]) == "No clip is taken for another class."


def test_the_picture_of_many_classes_shows_those_that_are_confused():
    counts = np.diag(np.full(300, 5))
    counts[7, 8], counts[200, 3] = 5, 1
    shown = confusion._most_confused(counts)
    assert len(shown) == confusion.MOST_CLASSES
    assert {7, 200} <= set(shown.tolist())
    assert confusion.image(counts, names=["x"] * 300).shape[1] < 2200


def evaluation(metric):
    """Returns an evaluation of 30 clips of two classes and of a third without clips."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 30)
    clips = Clips(
        clip_ids=np.array([f"clip{k}" for k in range(30)], object),
        splits=np.full(30, "eval"),
        folds=np.ones(30, int),
        label_values=labels,
        label_offsets=np.arange(31),
        rows=np.ones(30, int),
    )
    logits = rng.normal(size=(30, 3)) + 2 * np.eye(3)[labels]
    if metric == "accuracy":
        logits[:, 2] = -np.inf
    result = ProbeResult(score=0.9, class_scores=[0.8, 1.0, None], details={"AUC": 0.9}, tested=clips, logits=logits)
    report = Report(
        probe="mlp",
        metric=metric,
        scores={"both": 0.9, "untrained/both": 0.5},
        intervals={"both": (0.8, 0.95)},
        details={"clips_by_class": {"all": [20, 20, 0], "tested": np.bincount(labels, minlength=3).tolist()}},
        note="left out: x*y",
    )
    results = {"both": result, "untrained/both": result}
    return Evaluation(report=report, results=results, comparable=results)


@pytest.mark.parametrize("metric", ["accuracy", "mAP"])
def test_tensorboard_shows_everything(tmp_path, metric):
    summaries.write(evaluation(metric), label_names=("a", "b/c", "d"), directory=epath.Path(tmp_path))
    tags = {tag for _, tag in tensorboard_server.check_tags(tmp_path)}
    confusions = {"probe/confusion", "probe/confusion table"} if metric == "accuracy" else set()
    assert tags == {
        *(f"probe/{name}/{figure}" for name in ("both", "untrained/both") for figure in (metric, "AUC")),
        *("probe/table", "probe/scores", "probe/class table", "probe/classes"),
        *("pr/micro/pr_curves", "pr best/1 b/c/pr_curves", "pr best/2 a/pr_curves"),
        *confusions,
    }


def test_the_table_of_scores_has_a_column_for_what_was_measured():
    lines = summaries.scores.table(evaluation("mAP").report).splitlines()
    assert lines[0] == "| features | mlp probe, mAP | 95 % interval |"
    assert lines[2] == "| both | 0.9000 | 0.800 to 0.950 |"
    assert lines[-1] == r"Note: left out: x\*y"
