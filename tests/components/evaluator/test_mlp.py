import keras
import numpy as np
import pytest

from beam_jobs.embedding.read import Embeddings
from components import metrics
from components.evaluator import vectors
from components.evaluator.clips import read_clips
from components.evaluator.config import EvaluatorConfig
from components.evaluator.features import FeatureSet, sets_of
from components.evaluator.probes import mlp, networks
from components.evaluator.probes.networks import Networks
from components.evaluator.probes.pools import Pools
from components.evaluator.probes.validation import BestOf
from tests.components.stored_embeddings import write_embeddings

EMBEDDERS = {"trained": {"waveform": (6, 2.0), "log_mel": (5, 0.0)}}
FIXED = {"trained": {"waveform": (6, 0.0)}}
"""Its vectors do not depend on the labels."""
A, B = (FeatureSet(name=name, embedder="trained", columns=(name,)) for name in ("waveform", "log_mel"))
BOTH = FeatureSet(name="both", embedder="trained", columns=("waveform", "log_mel"))


def _clips(count, *, seed=0):
    """Clips of one of five classes; the first two of them are also of the sixth one."""
    rng = np.random.default_rng((seed, count))
    return [((int(a), 5) if a < 2 else (int(a),), 0, int(rng.integers(1, 4))) for a in rng.integers(5, size=count)]


def _stored(folder, *, train=150, valid=0, tested=60, embedders=EMBEDDERS, **options):
    splits = {"train": _clips(train), "valid": _clips(valid, seed=1), "eval": _clips(tested, seed=2)}
    return Embeddings(write_embeddings(folder, splits, embedders, label_names="abcdefg", **options))


def _probe(embeddings, *, by_fold=False, **config):
    config = EvaluatorConfig(
        **{"mlp_hidden": 32, "mlp_epochs": 6, "mlp_batch_size": 32, "mlp_learning_rate": 1e-2, **config}
    )
    clips = read_clips(embeddings, "trained")
    sets = sets_of("trained", embeddings.info.embedders["trained"])
    return mlp.probe(embeddings, sets, clips, scored=range(6), classes=7, by_fold=by_fold, config=config)


@pytest.mark.parametrize(
    ("valid", "few", "chosen_by"),
    [(200, True, "the valid split"), (199, True, "cross-validation on the training clips"),
     (0, True, "cross-validation on the training clips"), (199, False, "a tenth of the training clips")],
)  # fmt: skip
def test_every_set_learns_what_it_can_however_it_is_chosen(tmp_path, monkeypatch, valid, few, chosen_by):
    if not few:
        monkeypatch.setattr(mlp, "_CROSS_VALIDATED_ROWS", 100)
    results = _probe(_stored(tmp_path / "e", valid=valid))
    assert list(results) == ["waveform", "log_mel", "both"]
    assert results["waveform"].score > 0.75 > 0.5 > results["log_mel"].score
    both = results["both"]
    assert both.score > 0.7
    assert both.class_scores[6] is None  # It is not scored.
    assert both.details["classes_left_out"] == 1
    assert both.details["chosen_by"] == chosen_by
    assert both.logits.shape == (60, 7)
    assert len(both.details["precision_recall"]["precision"]) == 21


@pytest.mark.parametrize("few", [pytest.param(True, marks=pytest.mark.slow), False])
def test_each_fold_is_classified_by_what_the_others_taught(tmp_path, monkeypatch, few):
    if not few:
        monkeypatch.setattr(mlp, "_CROSS_VALIDATED_ROWS", 100)
    folds = {"train": [(labels, 1 + k % 3, rows) for k, (labels, _, rows) in enumerate(_clips(150))]}
    folds["train"][0] = (folds["train"][0][0], 0, 1)  # A clip without a fold is trained on, and not tested.
    embeddings = Embeddings(write_embeddings(tmp_path, folds, EMBEDDERS, label_names="abcdefg"))
    results = _probe(embeddings, by_fold=True)
    assert results["waveform"].score > 0.7 > 0.5 > results["log_mel"].score
    both = results["both"]
    assert both.logits.shape == (149, 7)
    assert "train0" not in both.tested.clip_ids
    assert sorted(both.details["folds"]) == ["1", "2", "3"]
    np.testing.assert_allclose(both.score, metrics.multi_label(both.tested.targets(7), both.logits)["mAP"])
    assert both.tested.clip_ids.tolist() == [f"train{k}" for k in range(1, 150)]


@pytest.mark.slow
def test_a_fold_has_no_part_in_its_own_classification(tmp_path):
    """The labels of the third fold are wrong: the first two are classified alike only without it."""
    logits = []
    for number, wrong in enumerate([False, True]):
        clips = [((5 - labels[0],) if wrong and k % 3 == 2 else labels, 1 + k % 3, 1)
                 for k, (labels, _, _) in enumerate(_clips(90))]  # fmt: skip
        stored = Embeddings(write_embeddings(tmp_path / str(number), {"train": clips}, FIXED, label_names="abcdefg"))
        logits.append(_probe(stored, by_fold=True, mlp_epochs=1)["waveform"].logits)
    third = np.arange(90) % 3 == 2
    np.testing.assert_array_equal(logits[0][third], logits[1][third])
    assert np.abs(logits[0][~third] - logits[1][~third]).max() > 0.1


def test_the_evaluation_clips_choose_nothing(tmp_path):
    first, second = (_stored(tmp_path / str(tested), tested=tested, embedders=FIXED) for tested in (30, 31))
    for embeddings in (first, second):
        assert embeddings.info.splits["train"] == 150
    of_first, of_second = (_probe(embeddings, mlp_epochs=2)["waveform"].details for embeddings in (first, second))
    assert of_first["cross_validated"] == of_second["cross_validated"]


def _batch(rows, rng):
    return {
        "waveform": rng.normal(size=(rows, 6)).astype(np.float16),
        "log_mel": rng.normal(size=(rows, 5)).astype(np.float16),
    }


def test_training_all_sets_together_is_training_each_with_keras():
    rng = np.random.default_rng(0)
    data, targets = _batch(64, rng), rng.random((64, 3)) < 0.4
    statistics = networks.measure(data)
    together = Networks([A, B, BOTH], statistics=statistics, hidden=8, classes=3, learning_rate=0.05, seed=7)
    models = {}
    for one in (A, B, BOTH):
        kernel, bias, kernel_2, bias_2 = together.weights(one.name)
        model = keras.Sequential(
            [keras.Input((kernel.shape[1],)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)]
        )
        model.set_weights([kernel[0], bias[0, 0], kernel_2[0], bias_2[0, 0]])
        model.compile(keras.optimizers.Adam(0.05), keras.losses.BinaryCrossentropy(from_logits=True))
        models[one.name] = model
    for first in (0, 32, 0):
        rows = slice(first, first + 32)
        together.step({name: values[rows] for name, values in data.items()}, targets[rows])
        for one in (A, B, BOTH):
            x = np.concatenate(
                [(data[c].astype(float) - statistics[c][0]) / statistics[c][1] for c in one.columns], axis=1
            )
            models[one.name].train_on_batch(x[rows], targets[rows].astype(np.float32))
    logits = together.logits(data)
    for one in (A, B, BOTH):
        x = np.concatenate([(data[c].astype(float) - statistics[c][0]) / statistics[c][1] for c in one.columns], axis=1)
        np.testing.assert_allclose(logits[one.name][0], np.asarray(models[one.name](x)), atol=2e-3)


def test_training_clips_that_are_parts_of_one_recording_are_cross_validated(tmp_path):
    splits = {"train": [((k,), 0, 2, f"day.wav@{60 * k}.00") for k in range(4)], "eval": _clips(30, seed=2)}
    stored = Embeddings(write_embeddings(tmp_path, splits, EMBEDDERS, label_names="abcdefg"))
    for result in _probe(stored, mlp_epochs=1).values():
        assert 0 < result.score <= 1
        assert result.details["cross_validated"]["folds"] == 4


def test_a_copy_learns_nothing_of_rows_without_weight():
    rng = np.random.default_rng(0)
    data, targets = _batch(40, rng), rng.random((40, 3)) < 0.4
    other = {name: values.copy() for name, values in data.items()}
    for values in other.values():
        values[20:] = 9
    weights = np.stack([np.arange(40) < 20, np.ones(40)]).astype(np.float32)
    found = []
    for batch in (data, other):
        net = Networks(
            [BOTH], statistics=networks.measure(data), hidden=8, classes=3, copies=2, learning_rate=0.1, seed=0
        )
        for _ in range(3):
            net.step(batch, targets, row_weights=weights)
        found.append(net.logits(data)["both"])
    np.testing.assert_allclose(found[0][0], found[1][0], atol=1e-5)
    assert np.abs(found[0][1] - found[1][1]).max() > 0.1


def test_a_constant_element_becomes_zero_and_large_ones_do_not_overflow():
    values = np.full((10, 3), 60000, np.float16)
    values[:, 1] = np.arange(10)
    values[::2, 2] = -60000
    mean, deviation = networks.measure({"x": values})["x"]
    np.testing.assert_allclose(mean, values.astype(float).mean(axis=0))
    np.testing.assert_allclose(deviation, values.astype(float).std(axis=0))


@pytest.mark.parametrize("pool_bytes", [1, 700, 10**9])
def test_every_training_row_is_in_each_epoch_once_and_a_pool_is_bounded(tmp_path, pool_bytes):
    embeddings = _stored(tmp_path / "e", files=3, group_rows=7)
    clips = read_clips(embeddings, "trained")
    chosen = (clips.splits == "train") & (np.arange(len(clips)) % 5 > 0)
    groups = vectors.locate(embeddings, "trained", clips, chosen=chosen)
    pools = Pools(groups, columns=["waveform"], dims={"waveform": 6}, seed=0, pool_bytes=pool_bytes)
    orders = []
    for epoch in range(2):
        rows, indices = [], []
        for pool in pools.epoch(epoch):
            assert len(pool) <= max(7, pool_bytes // 12)
            for batch, of_clips in pool.batches(8, rng=np.random.default_rng(epoch)):
                rows.append(batch["waveform"])
                indices.append(of_clips)
        rows, indices = np.concatenate(rows), np.concatenate(indices)
        order = np.lexsort((rows[:, 0], indices))
        stored = vectors.read_rows(embeddings, "trained", clips, chosen=chosen, columns=["waveform"])["waveform"]
        of_rows = clips.clip_of_row[chosen[clips.clip_of_row]]
        expected = np.lexsort((stored[:, 0], of_rows))
        np.testing.assert_array_equal(indices[order], of_rows[expected])
        np.testing.assert_array_equal(rows[order], stored[expected])
        orders.append(indices)
    assert (orders[0] != orders[1]).any()


def test_the_best_look_is_kept_until_patience_ends():
    class Fixed:
        look = 0

        def weights(self, name):
            return [self.look]

    chosen, fixed = BestOf(["x", "y"], patience=2), Fixed()
    scores = [(0.1, 0.5), (0.3, 0.4), (0.2, 0.4), (0.2, 0.9), (0.1, 0.9)]
    going_on = []
    for fixed.look, (x, y) in enumerate(scores, start=1):
        going_on.append(chosen.look({"x": x, "y": y}, fixed))
    # y was done after look 3, so that its better score at look 4 does not count.
    assert going_on == [True, True, True, False, False]
    assert (chosen.best["x"].weights, chosen.best["y"].weights) == ([2], [1])
