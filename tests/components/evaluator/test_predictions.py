import numpy as np

from components.evaluator import predictions
from components.evaluator.clips import Clips


def test_what_is_written_is_read(tmp_path):
    tested = Clips(
        clip_ids=np.array(["a", "b", "c"], object),
        splits=np.array(["eval", "train", "eval"]),
        folds=np.array([1, 2, 1]),
        label_values=np.array([1, 0, 2]),
        label_offsets=np.array([0, 1, 1, 3]),
        rows=np.array([1, 1, 1]),
    )
    logits = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    predictions.write(tmp_path, tested, logits)
    read = predictions.read(tmp_path)
    assert read.clip_ids.tolist() == ["a", "b", "c"]
    assert read.splits.tolist() == ["eval", "train", "eval"]
    np.testing.assert_array_equal(read.targets, tested.targets(4))
    np.testing.assert_array_equal(read.logits, logits)


def test_nothing_was_probed(tmp_path):
    assert predictions.read(tmp_path) is None
