import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import UserError
from pipeline.vectors.stored import open_vectors
from tests.pipeline.vectors.stored_files import random, write_file, write_folder


def read(stored):
    """Returns the names and vectors of all rows."""
    names, vectors = zip(*stored.blocks(), strict=True)
    return np.concatenate(names).tolist(), np.concatenate(vectors)


class TestFile:
    def test_rows_come_in_order_and_by_number(self, tmp_path):
        vectors = random(950, 5)
        write_file(tmp_path / "e.parquet", vectors)
        stored = open_vectors(str(tmp_path / "e.parquet"))
        names, values = read(stored)
        assert (len(stored), stored.dim) == (950, 5)
        assert names == [f"{row}.wav" for row in range(950)]
        np.testing.assert_array_equal(values, vectors)
        rows = np.array([949, 0, 100, 99, 0, 512])
        places = stored.places(rows)
        assert places.names.tolist() == [f"{row}.wav" for row in rows]
        assert places.end_s.tolist() == [1.0] * 6
        np.testing.assert_array_equal(stored.vectors(rows), vectors[rows])

    @pytest.mark.parametrize(
        "kind", [pa.list_(pa.float32()), pa.list_(pa.float16(), 3), pa.large_list(pa.float64()), pa.list_(pa.float64())]
    )
    def test_lists_of_every_kind_are_vectors(self, tmp_path, kind):
        values = [list(map(np.float16, row)) for row in random(7, 3)]
        table = pa.table({"file": list("abcdefg"), "start_s": [0.0] * 7, "end_s": [1.0] * 7})
        table = table.append_column("log_mel", pa.array(values, kind))
        pq.write_table(table, tmp_path / "e.parquet")
        stored = open_vectors(str(tmp_path / "e.parquet"), features="log_mel")
        np.testing.assert_array_equal(read(stored)[1], np.array(values))
        np.testing.assert_array_equal(stored.vectors(np.array([6, 2])), np.array(values)[[6, 2]])

    @pytest.mark.parametrize("rows", [3, 20])
    def test_a_file_that_was_written_again_is_said(self, tmp_path, rows):
        write_file(tmp_path / "e.parquet", random(10, 5))
        stored = open_vectors(str(tmp_path / "e.parquet"))
        before = stored.state()
        assert stored.state() == before
        write_file(tmp_path / "e.parquet", random(rows, 5))
        assert stored.state() != before
        with pytest.raises(UserError, match=rf"was written again, and has {rows} rows in place of 10"):
            stored.places(np.array([1, 2]))

    def test_a_column_is_chosen(self, tmp_path):
        columns = {"embedding": random(4, 5), "waveform": random(4, 2), "log_mel": random(4, 3)}
        write_file(tmp_path / "e.parquet", columns)
        assert open_vectors(str(tmp_path / "e.parquet"), features="log_mel").dim == 3
        assert open_vectors(str(tmp_path / "e.parquet")).dim == 5

    @pytest.mark.parametrize(
        ("vectors", "message"),
        [
            ([[1.0, 2.0], [1.0], [3.0, 4.0, 5.0]], "not all rows of .* have 2 numbers in embedding"),
            ([[1.0, 2.0], None], "not all rows of"),
        ],
    )
    def test_rows_of_several_sizes(self, tmp_path, vectors, message):
        count = len(vectors)
        table = pa.table({"file": list("abc")[:count], "start_s": [0.0] * count, "end_s": [1.0] * count})
        pq.write_table(table.append_column("embedding", pa.array(vectors)), tmp_path / "e.parquet")
        with pytest.raises(UserError, match=message):
            read(open_vectors(str(tmp_path / "e.parquet")))

    @pytest.mark.parametrize(
        ("column", "values", "message"),
        [
            ("file", ["a.wav", None], "not all rows of .* name their file"),
            ("file", [1, 2], "its column file, which must hold text"),
            ("start_s", ["0", "1"], "its column start_s, which must hold numbers"),
            ("end_s", [None, None], "its column end_s, which must hold numbers"),
        ],
    )
    def test_columns_of_another_tool(self, tmp_path, column, values, message):
        columns = {"file": ["a.wav", "b.wav"], "start_s": [0, 0], "end_s": [1, 1], "embedding": [[1.0], [2.0]]}
        pq.write_table(pa.table(columns | {column: values}), tmp_path / "e.parquet")
        for read_all in (read, lambda stored: list(stored.names())):
            with pytest.raises(UserError, match=message):
                read_all(open_vectors(str(tmp_path / "e.parquet")))

    def test_damage_behind_an_intact_footer(self, tmp_path):
        write_file(tmp_path / "e.parquet", random(200, 5))
        content = bytearray((tmp_path / "e.parquet").read_bytes())
        content[4:200] = b"\xff" * 196
        (tmp_path / "e.parquet").write_bytes(content)
        with pytest.raises(UserError, match="e.parquet is damaged"):
            read(open_vectors(str(tmp_path / "e.parquet")))


class TestFolder:
    def test_the_encoders_are_concatenated_split_by_split(self, tmp_path):
        waveform, log_mel = (random(150, dim).astype(np.float16) for dim in (2, 3))
        write_folder(tmp_path / "e", {"trained": {"waveform": waveform, "log_mel": log_mel}}, splits=("train", "eval"))
        stored = open_vectors(str(tmp_path / "e"))
        names, values = read(stored)
        assert (names[0], names[150], len(stored)) == ("train/0.wav", "eval/0.wav", 300)
        np.testing.assert_array_equal(values, np.tile(np.hstack([waveform, log_mel]), (2, 1)))
        assert stored.places(np.array([299, 1])).names.tolist() == ["eval/149.wav", "train/1.wav"]

    @pytest.mark.parametrize(
        ("features", "dim"),
        [("", 5), ("both", 5), ("log_mel", 3), ("untrained/both", 5), ("untrained/waveform", 2), ("mfcc_mean_std", 4)],
    )
    def test_sets_of_features_have_the_names_of_the_metrics(self, tmp_path, features, dim):
        encoders = {"waveform": random(2, 2), "log_mel": random(2, 3)}
        write_folder(tmp_path / "e", {"trained": encoders, "untrained": encoders, "mfcc_mean_std": {"x": random(2, 4)}})
        assert open_vectors(str(tmp_path / "e"), features=features).dim == dim


class TestRefusals:
    def test_what_is_no_file_of_embeddings(self, tmp_path):
        (tmp_path / "empty").mkdir()
        (tmp_path / "text.parquet").write_text("no Parquet")
        (tmp_path / "x.npz").touch()
        pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
        write_file(tmp_path / "e.parquet", random(3, 2))
        write_file(tmp_path / "none.parquet", random(0, 2))
        write_folder(tmp_path / "folder", {"trained": {"waveform": random(2, 2)}})
        (tmp_path / "folder" / "trained" / "train-00000-of-00001.parquet").unlink()
        messages = {
            ("nowhere", ""): "there is no such file or folder",
            ("empty", ""): "holds no embeddings.json",
            ("text.parquet", ""): "is damaged",
            ("x.npz", ""): "is not Parquet: let `diptych embed` write a file whose name ends in .parquet",
            ("other.parquet", ""): "has no column file",
            ("e.parquet", "log_mel"): "--features log_mel: .*e.parquet has embedding; choose one of them",
            ("none.parquet", ""): "holds no vector",
            ("folder", "waveforms"): "--features waveforms: .* has waveform, both; choose one",
        }
        for (name, features), message in messages.items():
            with pytest.raises(UserError, match=message):
                open_vectors(str(tmp_path / name), features=features)
        with pytest.raises(UserError, match="--embeddings '': there is no such file or folder"):
            open_vectors("")
        with pytest.raises(UserError, match="train-00000-of-00001.parquet is missing"):
            read(open_vectors(str(tmp_path / "folder")))
