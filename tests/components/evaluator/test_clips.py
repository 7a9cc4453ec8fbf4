import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs.embedding.info import DamagedEmbeddingsError
from beam_jobs.embedding.read import Embeddings
from components.evaluator import vectors
from components.evaluator.clips import means_over_clips, read_clips, sample
from components.evaluator.features import sets_by_embedder
from tests.components.evaluator.scattered_clips import clips_of
from tests.components.stored_embeddings import write_embeddings

EMBEDDERS = {"mfcc_mean_std": {"mfcc_mean_std": (3, 1)}, "trained": {"waveform": (4, 1), "log_mel": (5, 0)}}


def _stored(count, *, seed=0):
    rng = np.random.default_rng(seed)
    return [
        (tuple(np.flatnonzero(rng.random(3) < 0.4).tolist()), int(rng.integers(3)), int(rng.integers(1, 6)))
        for _ in range(count)
    ]


@pytest.mark.parametrize("row", ["window", "clip"])
def test_clips_are_read_whatever_row_groups_and_files_they_lie_in(tmp_path, row):
    stored = {"train": _stored(23), "eval": _stored(9, seed=1), "valid": []}
    folder = write_embeddings(tmp_path / "e", stored, EMBEDDERS, label_names="abc", row=row, group_rows=4)
    embeddings = Embeddings(folder)
    clips = read_clips(embeddings, "trained")
    expected = stored["train"] + stored["eval"]
    assert clips.clip_ids.tolist() == [f"{split}{k}" for split in ("train", "eval") for k in range(len(stored[split]))]
    assert [clips.labels(k) for k in range(len(clips))] == [labels for labels, _, _ in expected]
    assert clips.folds.tolist() == [fold for _, fold, _ in expected]
    assert clips.rows.tolist() == [windows if row == "window" else 1 for _, _, windows in expected]

    blocks = [block for split in ("train", "eval") for block in embeddings.blocks("trained", split, names=["log_mel"])]
    stored_rows = np.concatenate([block.vectors["log_mel"] for block in blocks])
    chosen = np.random.default_rng(0).random(len(clips)) < 0.5
    read = vectors.read_rows(embeddings, "trained", clips, chosen=chosen, columns=["log_mel"])["log_mel"]
    np.testing.assert_array_equal(read, stored_rows[chosen[clips.clip_of_row]])
    means = vectors.read_means(embeddings, "trained", clips, chosen=chosen, columns=["log_mel"])["log_mel"]
    np.testing.assert_allclose(means, means_over_clips(read.astype(np.float32), clips.rows[chosen]), rtol=1e-5)


def test_a_missing_file_is_named(tmp_path):
    folder = write_embeddings(tmp_path / "e", {"train": _stored(4)}, EMBEDDERS, label_names="abc")
    (folder / "trained" / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(DamagedEmbeddingsError, match="train-00001-of-00002.parquet is missing"):
        read_clips(Embeddings(folder), "trained")
    with pytest.raises(DamagedEmbeddingsError, match="train-00001-of-00002.parquet is missing"):
        Embeddings(folder).row_groups("trained", "train")


def test_sets_of_features_have_their_published_names(tmp_path):
    embedders = {
        **EMBEDDERS,
        "untrained": {"mfcc": (2, 0)},
        "musicnn": {"mean": (2, 0), "max": (3, 0)},
    }
    folder = write_embeddings(tmp_path / "e", {"train": _stored(2)}, embedders, label_names="abc")
    sets = sets_by_embedder(Embeddings(folder).info.embedders)
    assert [one.name for of_one in sets.values() for one in of_one] == [
        "waveform", "log_mel", "both", "untrained/mfcc", "untrained/both", "mfcc_mean_std",
        "musicnn/mean", "musicnn/max", "musicnn/both",
    ]  # fmt: skip
    assert sets["trained"][-1].columns == ("waveform", "log_mel")


@given(seed=st.integers(0, 500), count=st.integers(0, 12))
def test_taking_and_reordering_clips_keeps_what_belongs_together(seed, count):
    rng = np.random.default_rng(seed)
    labels = [tuple(np.flatnonzero(rng.random(4) < 0.4).tolist()) for _ in range(count)]
    clips = clips_of(labels, rows=rng.integers(1, 4, size=count))
    chosen = rng.random(count) < 0.5
    taken = clips.take(chosen, classes=(0, 2))
    kept = [k for k in range(count) if chosen[k]]
    assert [taken.labels(i) for i in range(len(taken))] == [
        tuple(label for label in labels[k] if label in (0, 2)) for k in kept
    ]
    assert clips.alone_in((1, 3)).tolist() == [of_clip in ((1,), (3,)) for of_clip in labels]
    expected = np.array([[k in of_clip for k in range(4)] for of_clip in labels], bool).reshape(count, 4)
    np.testing.assert_array_equal(clips.targets(4), expected)
    places = rng.integers(count, size=5 if count else 0)
    moved = clips.reordered(places)
    assert [moved.labels(i) for i in range(len(moved))] == [labels[k] for k in places]
    assert moved.clip_ids.tolist() == [str(k) for k in places]


def test_a_sample_does_not_depend_on_the_other_clips():
    clips = clips_of([(0,)] * 50)
    kept = sample(clips, np.ones(50, bool), most=20)
    assert kept.sum() == 20
    fewer = sample(clips, kept, most=20)
    np.testing.assert_array_equal(fewer, kept)
    shuffled = clips.reordered(np.arange(50)[::-1])
    assert set(shuffled.clip_ids[sample(shuffled, np.ones(50, bool), most=20)]) == set(clips.clip_ids[kept])
