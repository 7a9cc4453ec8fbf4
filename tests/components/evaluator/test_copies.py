import numpy as np
import pyarrow.parquet as pq
import pytest

from beam_jobs.embedding.read import Embeddings
from components.evaluator import EvaluatorConfig, copies, evaluation, preparation
from components.evaluator.clips import read_clips
from components.evaluator.folds import make_folds
from tests.components.evaluator.scattered_clips import clips_of
from tests.components.stored_embeddings import write_embeddings

EMBEDDERS = {"trained": {"waveform": (8, 0.0), "log_mel": (6, 0.0)}, "mfcc_mean_std": {"mfcc_mean_std": (4, 0.0)}}
SOUNDS = 30


def _write(folder, *, folds=0, unequal=(), windows=(2, 3)):
    """Writes 30 sounds of random labels, each also as a copy. The given embedders round some copies differently."""
    rng = np.random.default_rng(0)
    labels, counts = rng.integers(2, size=SOUNDS), rng.integers(*windows, size=SOUNDS, endpoint=True)
    clips = [
        ((int(labels[k % SOUNDS]),), k % folds + 1 if folds else 0, int(counts[k % SOUNDS]), f"{k % SOUNDS}{name}.wav")
        for k, name in enumerate([""] * SOUNDS + [" copy"] * SOUNDS)
    ]
    write_embeddings(folder, {"train": clips}, EMBEDDERS, label_names=("a", "b"), has_folds=bool(folds), files=1)
    rows = counts.sum()
    for embedder, dims in EMBEDDERS.items():
        file = folder / embedder / "train-00000-of-00001.parquet"
        table = pq.read_table(file)
        for name in dims:
            sources = np.arange(2 * rows) % rows
            if embedder in unequal:
                sources[rows] = 1
            table = table.set_column(table.schema.get_field_index(name), name, table[name].take(sources))
        pq.write_table(table, file, row_group_size=16)  # Clips and their copies end in different groups.
    return Embeddings(folder)


@pytest.mark.parametrize("unequal", [(), ("mfcc_mean_std",), ("trained",)])
def test_copies_are_found_where_any_embedder_has_the_same_vectors(tmp_path, unequal):
    embeddings = _write(tmp_path / "stored", unequal=unequal)
    clips = {embedder: read_clips(embeddings, embedder) for embedder in EMBEDDERS}
    found = copies.find_copies(embeddings, clips, reference="trained")
    np.testing.assert_array_equal(found, np.arange(2 * SOUNDS) % SOUNDS)


def test_a_copy_that_no_embedder_has_alike_is_not_one(tmp_path):
    embeddings = _write(tmp_path / "stored", unequal=("trained", "mfcc_mean_std"))
    clips = {embedder: read_clips(embeddings, embedder) for embedder in EMBEDDERS}
    found = copies.find_copies(embeddings, clips, reference="trained")
    assert found[SOUNDS] != found[0]
    assert len(set(found.tolist())) == SOUNDS + 1


def test_an_embedder_that_gives_all_clips_the_same_vectors_is_not_asked(tmp_path):
    embeddings = _write(tmp_path / "stored", windows=(2, 2))
    file = tmp_path / "stored" / "trained" / "train-00000-of-00001.parquet"
    table = pq.read_table(file)
    for name in EMBEDDERS["trained"]:
        same = table[name].take(np.zeros(len(table), int))
        table = table.set_column(table.schema.get_field_index(name), name, same)
    pq.write_table(table, file, row_group_size=16)
    clips = {embedder: read_clips(embeddings, embedder) for embedder in EMBEDDERS}
    found = copies.find_copies(embeddings, clips, reference="trained")
    assert len(set(found.tolist())) == SOUNDS


def test_made_folds_keep_copies_together_and_count_them(tmp_path):
    """Noise of random labels is told apart no better than by chance. With a copy to learn from, it was."""
    embeddings = _write(tmp_path / "stored")
    config = EvaluatorConfig()
    prepared = preparation.prepare(embeddings, config)
    folds = prepared.clips["mfcc_mean_std"].folds
    np.testing.assert_array_equal(folds[:SOUNDS], folds[SOUNDS:])
    assert (prepared.choice.probe, set(folds.tolist())) == ("linear", {1, 2, 3, 4, 5})
    results = evaluation.probe(embeddings, prepared.sets["trained"], prepared, config)
    assert all(result.score < 0.75 for result in results.values())
    assert "60 clips with copies, which are in the same fold" in evaluation._note(prepared)


def test_folds_that_were_given_are_kept_and_the_note_says_that_copies_are_in_several(tmp_path):
    embeddings = _write(tmp_path / "stored", folds=4)
    prepared = preparation.prepare(embeddings, EvaluatorConfig())
    np.testing.assert_array_equal(prepared.clips["trained"].folds, np.arange(2 * SOUNDS) % 4 + 1)
    assert "60 clips with a copy in another fold, whose scores are too high" in evaluation._note(prepared)


def test_the_note_counts_the_clips_with_a_copy_in_another_fold():
    numbers = np.array([0, 0, 1, 1, 1, 2, 3, 3])
    assert copies.note(numbers, np.array([1, 1, 1, 2, 2, 1, 2, 0]), made=False).startswith("3 clips with a copy in")
    assert copies.note(numbers, np.array([1, 1, 2, 2, 2, 1, 2, 0]), made=False) is None
    assert copies.note(numbers, np.array([1, 1, 2, 2, 2, 1, 2, 0]), made=True).startswith("5 clips with copies")
    assert copies.note(np.arange(8), np.ones(8, int), made=True) is None


def test_groups_are_joined_by_way_of_further_clips():
    rng = np.random.default_rng(0)
    for _ in range(50):
        numbers, others = rng.integers(30, size=(2, 25))
        expected = np.arange(25)
        for _ in range(25):
            for k in range(25):
                expected[k] = expected[(numbers == numbers[k]) | (others == others[k])].min()
        order = {number: place for place, number in enumerate(dict.fromkeys(expected.tolist()))}
        np.testing.assert_array_equal(copies.joined(numbers, others), [order[number] for number in expected.tolist()])


def test_copies_join_whole_recordings_and_leave_other_folds_as_they_are():
    ids = [f"{k // 2}.wav@{k % 2 * 10}.00" for k in range(40)]
    clips = clips_of([(k // 20,) for k in range(40)], ids=ids)
    numbers = np.arange(40)
    np.testing.assert_array_equal(make_folds(clips, copies=numbers), make_folds(clips))
    numbers[7] = 2  # The second part of recording 3 is the first one of recording 1.
    folds = make_folds(clips, copies=numbers)
    assert len(set(folds[[2, 3, 6, 7]].tolist())) == 1
