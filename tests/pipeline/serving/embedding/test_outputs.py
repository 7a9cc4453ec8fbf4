import csv
import dataclasses
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from components.errors import UserError
from pipeline.serving.embedding import outputs
from tests import corpora
from tests.components.stored_examples import write_examples
from tests.pipeline.serving.embedding.projection import DIMS, FRAMING, Projection, ProjectionLoader, embed_with

SAMPLES = (1600, 4000, 16000, 14400)
LABELS = ([0, 1], [1], [], [0])
NAMES = ("dog", "Male speech, man speaking")


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A folder of examples, which need no decoder."""
    clips = [(noise(samples), labels, 0) for samples, labels in zip(SAMPLES, LABELS, strict=True)]
    return write_examples(tmp_path_factory.mktemp("stored") / "examples", {"train": clips}, label_names=NAMES)


def noise(samples):
    return np.random.default_rng(samples).integers(-9000, 9000, samples).astype(np.int16)


def columns_of(output):
    """Reads an output: file, start_s, end_s, embedding."""
    if output.suffix == ".npz":
        with np.load(output) as arrays:
            return [arrays[name] for name in ("path", "start_s", "end_s", "embedding")]
    if output.suffix == ".parquet":
        table = pq.read_table(output)
        return [np.array(table[name].to_pylist()) for name in ("file", "start_s", "end_s", "embedding")]
    with output.open() as file:
        header, *rows = csv.reader(file)
    has_labels = "labels" in header
    assert header == ["file", "start_s", "end_s", *has_labels * ["labels"], *(f"embedding_{i}" for i in range(5))]
    times = np.array([row[1:3] for row in rows], np.float64)
    vectors = np.array([row[3 + has_labels :] for row in rows], np.float64).astype(np.float32)
    return [np.array([row[0] for row in rows]), times[:, 0], times[:, 1], vectors]


@pytest.mark.parametrize("row", ["clip", "window"])
def test_all_outputs_hold_the_same_rows(stored, tmp_path, row):
    for suffix in outputs.WRITERS:
        embed_with(ProjectionLoader(), [stored], tmp_path / f"x{suffix}", row=row)
    first, *others = (columns_of(tmp_path / f"x{suffix}") for suffix in outputs.WRITERS)
    for other in others:
        for column, expected in zip(other, first, strict=True):
            np.testing.assert_array_equal(column, expected)
    assert sorted(os.listdir(tmp_path)) == ["x.csv", "x.npz", "x.parquet"]
    each = [["dog", NAMES[1]], [NAMES[1]], [], ["dog"]]
    windows = [1 if row == "clip" else len(FRAMING.starts(samples)) for samples in SAMPLES]
    expected = [labels for labels, count in zip(each, windows, strict=True) for _ in range(count)]
    assert pq.read_table(tmp_path / "x.parquet")["labels"].to_pylist() == expected
    joined = {2: "dog;Male speech, man speaking", 1: "Male speech, man speaking;", 0: ""}
    with np.load(tmp_path / "x.npz") as rows, (tmp_path / "x.csv").open() as file:
        labels = rows["labels"].tolist()
        assert labels == [row["labels"] for row in csv.DictReader(file)]
        assert [labels[sum(windows[:i])] for i in range(4)] == [joined[2], joined[1], joined[0], "dog"]


def test_the_rows_of_clips_are_means_over_windows(stored, tmp_path):
    embed_with(ProjectionLoader(), [stored], tmp_path / "windows.npz", row="window")
    embed_with(ProjectionLoader(), [stored], tmp_path / "clips.npz")
    with np.load(tmp_path / "windows.npz") as windows, np.load(tmp_path / "clips.npz") as clips:
        ids = [f"train{i}" for i in range(4)]
        assert clips["path"].tolist() == ids
        assert clips["start_s"].tolist() == [0.0] * 4
        assert clips["end_s"].tolist() == [samples / 16000 for samples in SAMPLES]
        for i, clip_id in enumerate(ids):
            mean = windows["embedding"][windows["path"] == clip_id].mean(axis=0)
            np.testing.assert_allclose(clips["embedding"][i], mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(clips["embedding"], np.concatenate([clips[name] for name in DIMS], axis=1))


def test_the_times_and_vectors_of_windows(stored, tmp_path):
    embed_with(ProjectionLoader(), [stored], tmp_path / "x.npz", row="window")
    with np.load(tmp_path / "x.npz") as rows:
        is_last = rows["path"] == "train3"
        starts = np.array(FRAMING.starts(14400))
        np.testing.assert_array_equal(rows["start_s"][is_last], starts / 16000)
        np.testing.assert_array_equal(rows["end_s"][is_last], (starts + 4000) / 16000)
        sound = noise(14400) / np.float32(32768)
        expected = Projection().embed(np.stack([sound[start : start + 4000] for start in starts]))
        np.testing.assert_allclose(rows["second"][is_last], expected["second"], rtol=1e-4, atol=1e-4)
        assert rows["end_s"][rows["path"] == "train0"].tolist() == [0.1]  # It is shorter than a window.


def test_segments_of_a_manifest(tmp_path):
    corpora.write_tone(tmp_path / "a.wav", seconds=0.9)
    corpora.write_format(tmp_path / "b.m4a", seconds=0.9)
    lines = [f"{name},{times}" for name in ("a.wav", "b.m4a") for times in (",", "0.5,0.8")]
    (tmp_path / "list.csv").write_text("\n".join(["path,start,end", *lines]))
    embed_with(ProjectionLoader(), [tmp_path / "list.csv"], tmp_path / "x.npz")
    soundfile.write(tmp_path / "segment.wav", corpora.tone(seconds=0.9)[8000:12800], 16000)
    embed_with(ProjectionLoader(), [tmp_path / "segment.wav"], tmp_path / "y.npz")
    with np.load(tmp_path / "x.npz") as rows, np.load(tmp_path / "y.npz") as alone:
        assert rows["start_s"].tolist() == [0.0, 0.5, 0.0, 0.5]
        np.testing.assert_allclose(rows["end_s"], [0.9, 0.8, 0.9, 0.8], atol=0.1)
        np.testing.assert_allclose(rows["embedding"][1], alone["embedding"][0], atol=1e-2)
        np.testing.assert_allclose(rows["embedding"][3], alone["embedding"][0], atol=2)
        assert "labels" not in rows


@pytest.mark.parametrize("suffix", ["wav", "m4a"])
@pytest.mark.parametrize("row", ["clip", "window"])
def test_the_times_in_a_file_that_may_be_trimmed_are_those_in_the_file(tmp_path, suffix, row):
    """AudioSet lists both as 1 to 2 s. One file holds that alone, and the other the whole recording."""
    folder = tmp_path / "audioset"
    ytids = {corpora.ytid(0): 1.0, corpora.ytid(1): 4.0}
    for ytid, seconds in ytids.items():
        write = corpora.write_tone if suffix == "wav" else corpora.write_format
        write(folder / f"{ytid}.{suffix}", seconds=seconds)
    (folder / "class_labels_indices.csv").write_text('index,mid,display_name\n0,/m/09x0r,"Speech"\n')
    lines = [f'{ytid}, 1.000, 2.000, "/m/09x0r"\n' for ytid in ytids]
    (folder / "eval_segments.csv").write_text("".join(lines))
    embed_with(ProjectionLoader(), [folder], tmp_path / "x.npz", row=row)
    with np.load(tmp_path / "x.npz") as rows:
        for ytid, offset_s in zip(ytids, (0.0, 1.0), strict=True):
            is_own = rows["path"] == str(folder / f"{ytid}.{suffix}")
            assert rows["start_s"][is_own].min() == offset_s
            assert rows["end_s"][is_own].max() == pytest.approx(offset_s + 1.0, abs=0.1)


def test_parquet_has_lists_of_fixed_size_in_row_groups_of_one_size(stored, tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "_ROW_GROUP_BYTES", 3 * 40)
    monkeypatch.setattr("pipeline.serving.embedding.groups.MOST_CLIPS", 2)
    monkeypatch.setattr("pipeline.serving.embedding.part._BATCH_BYTES", 1)
    embed_with(ProjectionLoader(), [stored], tmp_path / "x.parquet", row="window")
    vectors = [(name, pa.list_(pa.float32(), dim)) for name, dim in {"embedding": 5, **DIMS}.items()]
    fields = [("file", pa.string()), ("start_s", pa.float64()), ("end_s", pa.float64())]
    fields.append(("labels", pa.list_(pa.string())))
    metadata = pq.read_metadata(tmp_path / "x.parquet")
    assert metadata.schema.to_arrow_schema().equals(pa.schema([*fields, *vectors]))
    sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert set(sizes[:-1]) == {3}
    assert sum(sizes) == sum(len(FRAMING.starts(samples)) for samples in SAMPLES)


def test_names_that_are_not_utf8(tmp_path):
    name = os.fsdecode(b"caf\xe9.wav")
    corpora.write_tone(tmp_path / "a.wav")
    (tmp_path / "in").mkdir()
    (tmp_path / "a.wav").rename(tmp_path / "in" / name)
    for suffix in outputs.WRITERS:
        embed_with(ProjectionLoader(), [tmp_path / "in"], tmp_path / f"x{suffix}")
    assert columns_of(tmp_path / "x.npz")[0].tolist() == [f"{tmp_path}/in/{name}"]
    for suffix in (".csv", ".parquet"):
        assert columns_of(tmp_path / f"x{suffix}")[0].tolist() == [f"{tmp_path}/in/caf\\xe9.wav"]


@pytest.mark.parametrize("output", ["x.pkl", "x", "x.npz.gz"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(output):
    with pytest.raises(UserError, match="ends in one of .parquet, .npz, .csv"):
        outputs.check(output, inputs=[])


def test_an_input_is_not_overwritten(tmp_path):
    (tmp_path / "list.csv").write_text("path\na.wav\n")
    (tmp_path / "link.csv").symlink_to(tmp_path / "list.csv")
    with pytest.raises(UserError, match="is one of the files to embed"):
        outputs.check(str(tmp_path / "link.csv"), inputs=[str(tmp_path / "list.csv")])


def test_a_link_stays_and_the_file_it_leads_to_is_written(stored, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "x.csv").symlink_to(tmp_path / "disk" / "y.csv")
    embed_with(ProjectionLoader(), [stored], tmp_path / "x.csv")
    assert (tmp_path / "x.csv").is_symlink()
    assert len((tmp_path / "disk" / "y.csv").read_text().splitlines()) == 5


def test_a_batch_may_be_larger_than_all_windows(stored, tmp_path):
    for name, batch_size in (("all", 10**12), ("few", 8)):
        embed_with(ProjectionLoader(), [stored], tmp_path / f"{name}.npz", batch_size=batch_size)
    with np.load(tmp_path / "all.npz") as at_once, np.load(tmp_path / "few.npz") as expected:
        np.testing.assert_allclose(at_once["embedding"], expected["embedding"], rtol=1e-4, atol=1e-4)


def test_a_batch_that_does_not_fit_into_memory_is_one_sentence(stored, tmp_path, monkeypatch):
    framing = dataclasses.replace(FRAMING, window_samples=2**46)
    monkeypatch.setattr(Projection, "framing", framing)
    with pytest.raises(UserError, match="--batch-size 9: 9 windows do not fit into memory: give a smaller number"):
        embed_with(ProjectionLoader(), [stored], tmp_path / "x.npz", batch_size=9)
