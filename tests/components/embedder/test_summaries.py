import itertools

import matplotlib.image
import numpy as np
import pytest
from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs import examples
from beam_jobs.embedding.read import Embeddings
from components.embedder import summaries
from components.embedder.summaries import neighbors, projector, sample
from tests import tensorboard_server
from tests.beam_jobs.embedding import toy_job
from tests.beam_jobs.embedding.toy_embedder import ToyLoader, slow_vectors
from tests.components import stored_examples

LOADERS = (ToyLoader(name="trained"),)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Examples in several files, with none, one and two labels."""

    def clips(count):
        return [
            (stored_examples.sound(k % 2, seconds=0.1 + 0.05 * (k % 4), seed=k), tuple(range(k % 3)), 0)
            for k in range(count)
        ]

    splits = {"train": clips(23), "valid": clips(3), "eval": clips(9)}
    place = tmp_path_factory.mktemp("summaries") / "examples"
    return stored_examples.write_examples(place, splits, label_names=("tone", "noise"), shards=3)


@pytest.fixture(scope="module")
def embedded(folder, tmp_path_factory):
    """Whether clips are left out -> the embeddings' folder, and the job that wrote it."""
    made = {}
    for name, limits in (("all", {}), ("limited", {"trained": 4})):
        place = tmp_path_factory.mktemp(name)
        toy_job.embed(folder, place, loaders=LOADERS, limits=limits)
        made[name] = epath.Path(place) / "output", toy_job.job_of(folder, loaders=LOADERS, limits=limits)
    return made


def draw(output, job):
    return sample.draw(Embeddings(output), "trained", info=job.info, shards=job.plan())


def stored(folder):
    """Returns (split, clip id) -> the stored clip."""
    info = examples.read_info(folder)
    datasets = {split: examples.dataset(folder, split).as_numpy_iterator() for split in info.splits}
    return {(split, clip["clip_id"].decode()): clip for split, clips in datasets.items() for clip in clips}


@pytest.mark.parametrize(("name", "count"), [("all", 23 + 3 + 9), ("limited", 4 + 3 + 4)])
def test_clips_are_drawn_with_their_audio_labels_and_vectors(folder, embedded, name, count):
    drawn, info = draw(*embedded[name]), examples.read_info(folder)
    clips = stored(folder)
    assert len({(clip.split, clip.clip_id) for clip in drawn}) == len(drawn) == count
    for clip, audio in zip(drawn, sample.read_audio(drawn, info=info), strict=True):
        found = clips[clip.split, clip.clip_id]
        np.testing.assert_array_equal(audio, found["audio"])
        assert clip.classes == tuple(info.label_names[label] for label in found["labels"])
        means = [vectors.mean(axis=0) for vectors in slow_vectors(audio)[1].values()]
        units = np.concatenate([mean / np.linalg.norm(mean) for mean in means]) / np.sqrt(2)
        np.testing.assert_allclose(clip.vector, units, atol=2e-3)


def test_a_large_corpus_is_sampled_from_the_beginnings_of_its_files(embedded, monkeypatch):
    monkeypatch.setattr(sample, "MOST_CLIPS", 12)
    drawn = draw(*embedded["all"])
    counts = {split: sum(clip.split == split for clip in drawn) for split in ("train", "valid", "eval")}
    assert counts == {"train": 5, "valid": 3, "eval": 4}  # What the small split leaves goes to the others.
    numbers = {clip.number for clip in drawn if clip.split == "train"}
    assert {0, 8, 16} <= numbers <= {0, 1, 8, 9, 16, 17}  # Of files of 8, 8 and 7 clips.


def clip(index, *, split="eval", classes=(), angle=0.0):
    vector = np.array([np.cos(angle), np.sin(angle)], np.float32)
    return sample.DrawnClip(clip_id=f"c{index}", split=split, number=index, classes=classes, vector=vector)


def test_neighbors_are_those_with_the_largest_cosines():
    clips = [clip(k, angle=angle, split="train") for k, angle in enumerate((0.3, 3.0, 0.2, -0.1))]
    clips.append(clip(4, angle=0.0))
    (query,) = neighbors.find(clips)
    assert (query.clip, query.nearest) == (4, (3, 2, 0))
    np.testing.assert_allclose(query.cosines, np.cos([0.1, 0.2, 0.3]), rtol=1e-5)


def test_queries_are_of_different_classes_of_the_test_split():
    classes = itertools.cycle([("a",), ("a",), ("b",), ("a", "b"), ()])
    clips = [clip(k, classes=next(classes), split="eval" if k < 10 else "train") for k in range(20)]
    assert [query.clip for query in neighbors.find(clips)] == [0, 2, 3, 4, 1]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_clips_have_few_neighbors(count):
    queries = neighbors.find([clip(k, split="train") for k in range(count)])
    assert [len(query.nearest) for query in queries] == [count - 1] * count


def test_the_projector_gets_a_picture_of_each_clip(tmp_path):
    clips = [clip(k, classes=("a\tb",), angle=k) for k in range(5)]
    tiles = [np.full((projector.TILE, projector.TILE, 3), 40 * k + 10, np.uint8) for k in range(5)]
    share = projector.write(clips, tiles, directory=epath.Path(tmp_path))
    assert share == pytest.approx(1)
    picture = (255 * matplotlib.image.imread(tmp_path / "sprites.png")).round()
    middles = picture[24::48, 24::48, 0]
    assert middles.tolist() == [[10, 50, 90], [130, 170, 0], [0, 0, 0]]
    rows = [line.split("\t") for line in (tmp_path / "labels.tsv").read_text().splitlines()]
    assert rows[:2] == [["label", "class", "clip", "split"], ["a b", "a b", "c0", "eval"]]
    points = np.loadtxt(tmp_path / "embedding.tsv")
    expected = np.stack([clip.vector for clip in clips])
    distances = [np.linalg.norm(x[:, None] - x[None], axis=2) for x in (points, expected)]
    np.testing.assert_allclose(*distances, atol=1e-3)


@given(rows=st.integers(1, 200), count=st.integers(1, 60))
def test_a_tile_averages_all_that_it_stands_for(rows, count):
    values = np.random.default_rng(rows).normal(size=(rows, 2))
    averaged = projector._averaged(values, count)
    assert averaged.shape == (count, 2)
    assert values.min() - 1e-9 <= averaged.min() <= averaged.max() <= values.max() + 1e-9
    if rows % count == 0:
        np.testing.assert_allclose(averaged, values.reshape(count, -1, 2).mean(axis=1))


def test_a_tile_shows_time_to_the_right_and_pitch_upwards():
    time = np.arange(16000) / 16000
    high_at_the_end = np.where(time < 0.5, 0, np.sin(2 * np.pi * 6000 * time))
    light = projector.tile((20000 * high_at_the_end).astype(np.int16), sample_rate=16000).sum(axis=2)
    assert light.shape == (48, 48)
    row, column = np.unravel_index(light.argmax(), light.shape)
    assert row < 12
    assert column >= 24
    assert light[:, :20].max() < 50


def test_tensorboard_shows_everything(embedded, tmp_path):
    summaries.write(*embedded["all"], directory=epath.Path(tmp_path))
    tags = {tag for _, tag in tensorboard_server.written(tmp_path)}
    players = [tag for tag in tags if tag.startswith("neighbors ")]
    assert len(players) == neighbors.QUERIES * (1 + neighbors.NEAREST)
    assert {f"neighbors/{k}" for k in (1, 2, 3, 4, 5)} | {"neighbors/table", "projector"} <= tags
    with tensorboard_server.serve(tmp_path) as server:
        assert server.get("data/plugin/projector/sprite_image?run=.&name=clips").startswith(b"\x89PNG")
