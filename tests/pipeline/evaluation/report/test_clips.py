import numpy as np
import pytest
from etils import epath

from beam_jobs import examples
from beam_jobs.audio import pcm
from beam_jobs.embedding.embedder import TRAINED
from beam_jobs.embedding.read import Embeddings
from components.evaluator.predictions import Predictions
from pipeline.evaluation.report import clips, gathering
from pipeline.evaluation.robustness import codecs
from tests.beam_jobs.embedding import toy_job
from tests.beam_jobs.embedding.toy_embedder import ToyLoader
from tests.components.stored_examples import sound, write_examples


def predictions(truth, logits, *, classes=3):
    targets = np.zeros((len(truth), classes), bool)
    for row, labels in zip(targets, truth, strict=True):
        row[labels] = True
    names = np.array([f"{row}.wav" for row in range(len(truth))], object)
    return Predictions(
        clip_ids=names, splits=np.full(len(truth), "eval", object), targets=targets, logits=np.array(logits, np.float32)
    )


def test_the_hardest_clips_are_those_whose_class_is_least_likely():
    found = predictions([[0], [0], [1], [2]], [[3, 0, 0], [0, 5, 0], [2, 0, 0], [0.3, 0.3, 0.0]])
    assert clips.hardest(found, is_single=True).tolist() == [1, 2, 3]
    assert clips.hardest(found, is_single=True, most=1).tolist() == [1]


def test_one_class_does_not_fill_the_list():
    found = predictions([[0]] * 9 + [[1]], [[0, 5 + i, 0] for i in range(9)] + [[1, 0, 0]])
    assert clips.hardest(found, is_single=True).tolist() == [8, 7, 9]


def test_clips_with_several_classes_and_with_none():
    found = predictions([[0, 1], [], [2], [0]], [[5, -4, 0], [9, 9, 9], [0, 0, -6], [8, 0, 0]])
    assert clips.hardest(found, is_single=False).tolist() == [2, 0]


@pytest.mark.parametrize("is_single", [True, False])
def test_a_perfect_probe_gets_no_clip_wrong(is_single):
    truth = [[0], [1], [2]] if is_single else [[0], [0, 1], [0, 1, 2]]
    found = predictions(truth, [[-1.0 if k in labels else -8.0 for k in range(3)] for labels in truth])
    assert clips.hardest(found, is_single=is_single).tolist() == []


@pytest.mark.parametrize("is_single", [True, False])
def test_probabilities(is_single):
    probabilities = clips.probabilities_of(np.array([[0.0, 1000.0, -1000.0]]), is_single=is_single)
    np.testing.assert_allclose(probabilities[0, 1:], [1, 0], atol=1e-9)
    assert probabilities[0, 0] == (0.0 if is_single else 0.5)


def test_confusion_leaves_out_classes_that_are_not_tested():
    found = predictions([[0], [0], [2], [2]], [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]], classes=4)
    confusion, shown = gathering.confusion_matrix(found)
    assert shown.tolist() == [0, 2, 3]
    np.testing.assert_allclose(confusion, [[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0, 0]])


@pytest.mark.parametrize("limit", [None, 5])
def test_only_files_with_a_clip_to_hear_are_read(tmp_path, limit):
    """The model has embedded all clips, or a sample; of the examples only the files with the chosen ones are left."""
    sounds = {
        "train": [sound(k % 2, seconds=0.2, seed=k) for k in range(12)],
        "eval": [sound(1, seed=k) for k in range(2)],
    }
    stored = {split: [(audio, [0], 0) for audio in of_split] for split, of_split in sounds.items()}
    folder = write_examples(tmp_path / "examples", stored, label_names=["a"], shards=3)
    toy_job.embed(folder, tmp_path / "run", loaders=(ToyLoader(name=TRAINED),), limits={TRAINED: limit})
    embeddings = Embeddings(tmp_path / "run" / "output")
    embedded = [name for rows in embeddings.blocks(TRAINED, "train") for name in dict.fromkeys(rows.clip_ids)]
    assert len(embedded) == (limit or 12)
    in_last_file = [name for name in embedded if int(name.removeprefix("train")) % 3 == 2]
    for path in examples.read_info(folder).files("train")[:2]:
        epath.Path(path).unlink()
    names = [*in_last_file, "eval1"]
    predicted = Predictions(
        clip_ids=np.array(names, object),
        splits=np.array([name.rstrip("0123456789") for name in names], object),
        targets=np.ones((len(names), 1), bool),
        logits=np.zeros((len(names), 1), np.float32),
    )
    rows = clips.rows(
        predicted, range(len(names)), directory=folder, embeddings=embeddings, names=["a"], is_single=True
    )
    assert in_last_file
    assert [row.clip_id for row in rows] == names
    for row in rows:
        split, number = row.clip_id.rstrip("0123456789"), int(row.clip_id.lstrip("trainevl"))
        audio = pcm.to_float(sounds[split][number])
        assert row.mp3 == codecs.encode(audio, sample_rate=16000, codec="mp3", kbps=32)
