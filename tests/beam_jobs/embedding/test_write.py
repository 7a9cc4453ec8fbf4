import itertools
import os
import pathlib

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs import storage
from beam_jobs.embedding import read
from beam_jobs.embedding.info import DamagedEmbeddingsError
from beam_jobs.embedding.write import ROW_GROUP_ROWS, Clip, UnusableVectorsError, Writer


def write(path, pieces, *, dims):
    """Writes `(clip, first row, vectors)` and returns the digest of the file."""
    with Writer(epath.Path(path), embedder="toy", split="train", dims=dims) as writer:
        for clip, first, vectors in pieces:
            starts = first + np.arange(len(vectors["a"]), dtype=float)
            writer.add(clip, start_s=starts, end_s=starts + 2, vectors=vectors)
    assert writer.rows == sum(len(vectors["a"]) for _, _, vectors in pieces)
    assert writer.digest == storage.file_digest(path)
    return writer.digest


@pytest.mark.parametrize("rows", [0, 1, ROW_GROUP_ROWS, 2500])
def test_rows_are_read_as_they_were_added_and_pieces_leave_no_trace(tmp_path, rows):
    rng = np.random.default_rng(rows)
    pieces = []
    while sum(len(piece[2]["a"]) for piece in pieces) < rows:
        count = min(int(rng.integers(1, 300)), rows - sum(len(piece[2]["a"]) for piece in pieces))
        clip = Clip(clip_id=f"clip {len(pieces)}", labels=tuple(range(len(pieces) % 3)), fold=len(pieces) % 6)
        vectors = {"a": rng.normal(size=(count, 4)).astype(np.float32), "b": rng.normal(size=(count, 2))}
        pieces.append((clip, 0, vectors))
    dims = {"a": 4, "b": 2}
    digest = write(tmp_path / "x.parquet", pieces, dims=dims)
    one_by_one = [
        (clip, row, {name: values[row : row + 1] for name, values in vectors.items()})
        for clip, _, vectors in pieces
        for row in range(len(vectors["a"]))
    ]
    assert write(tmp_path / "y.parquet", one_by_one, dims=dims) == digest

    with pq.ParquetFile(tmp_path / "x.parquet") as parquet:
        groups = [parquet.metadata.row_group(i) for i in range(parquet.num_row_groups)]
    assert [group.num_rows for group in groups] == [
        *[ROW_GROUP_ROWS] * (rows // ROW_GROUP_ROWS),
        *[rows % ROW_GROUP_ROWS] * bool(rows % ROW_GROUP_ROWS),
    ]
    for group in groups:
        columns = [group.column(i) for i in range(group.num_columns)]
        assert [column.path_in_schema for column in columns if column.has_dictionary_page] == ["split"]

    blocks = list(read.read_file(epath.Path(tmp_path / "x.parquet"), names=("a", "b"), rows=rows))
    assert sum(map(len, blocks)) == rows
    if rows:
        ids = np.concatenate([block.clip_ids for block in blocks]).tolist()
        assert ids == [clip.clip_id for clip, _, vectors in pieces for _ in vectors["a"]]
        labels = [tuple(b.label_values[i:j].tolist()) for b in blocks for i, j in itertools.pairwise(b.label_offsets)]
        assert labels == [clip.labels for clip, _, vectors in pieces for _ in vectors["a"]]
        for name in dims:
            expected = np.concatenate([vectors[name] for _, _, vectors in pieces]).astype(np.float16)
            np.testing.assert_array_equal(np.concatenate([block.vectors[name] for block in blocks]), expected)


@given(row=st.integers(0, 40), value=st.sampled_from([np.nan, np.inf, -np.inf, 65520.0, -1e5]))
def test_what_float16_cannot_hold_names_clip_and_embedder(tmp_path_factory, row, value):
    vectors = np.zeros((41, 3), np.float32)
    vectors[row, 1] = value
    pieces = [(Clip(clip_id=f"clip {i}", labels=(), fold=0), 0, {"a": vectors[[i]]}) for i in range(41)]
    holds = "NaN or infinity" if not np.isfinite(value) else "a value that float16 cannot hold"
    with pytest.raises(UnusableVectorsError, match=rf"a of the embedder toy holds {holds}.* clip {row} of the split"):
        write(tmp_path_factory.mktemp("unusable") / "x.parquet", pieces, dims={"a": 3})


def test_the_largest_value_of_float16_is_stored(tmp_path):
    vectors = np.array([[65504.0, -65504.0, 1e-9]], np.float32)
    write(tmp_path / "x.parquet", [(Clip(clip_id="a", labels=(), fold=0), 0, {"a": vectors})], dims={"a": 3})
    (block,) = read.read_file(epath.Path(tmp_path / "x.parquet"), names=("a",))
    assert block.vectors["a"].tolist() == [[65504.0, -65504.0, 0.0]]


def test_files_of_buckets_take_and_give_the_same(tmp_path, monkeypatch):
    """TensorFlow's files, which epath opens in a bucket, differ from Python's."""
    monkeypatch.setattr(pathlib.PosixPath, "open", lambda path, mode: tf.io.gfile.GFile(os.fspath(path), mode))
    monkeypatch.setattr(storage, "is_remote", lambda path: True)
    vectors = np.random.default_rng(0).normal(size=(3000, 64)).astype(np.float32)
    file = epath.Path(tmp_path / "x.parquet")
    write(file, [(Clip(clip_id="a", labels=(1,), fold=0), 0, {"a": vectors})], dims={"a": 64})
    blocks = list(read.read_file(file, names=("a",), rows=3000))
    np.testing.assert_array_equal(np.concatenate([b.vectors["a"] for b in blocks]), vectors.astype(np.float16))
    with pytest.raises(DamagedEmbeddingsError, match="y.parquet is missing"):
        list(read.read_file(file.with_name("y.parquet"), rows=3000))


def test_damage_behind_an_intact_footer_is_named(tmp_path):
    clip = Clip(clip_id="clip", labels=(), fold=0)
    write(tmp_path / "x.parquet", [(clip, 0, {"a": np.ones((50, 4), np.float32)})], dims={"a": 4})
    content = bytearray((tmp_path / "x.parquet").read_bytes())
    content[4:30] = b"\xff" * 26
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(DamagedEmbeddingsError, match="x.parquet is damaged"):
        list(read.read_file(epath.Path(tmp_path / "x.parquet"), names=("a",)))


def test_a_flipped_byte_of_a_vector_is_found(tmp_path):
    file = tmp_path / "x.parquet"
    vectors = np.random.default_rng(0).normal(size=(2000, 4)).astype(np.float16)
    write(file, [(Clip(clip_id="clip", labels=(0,), fold=0), 0, {"a": vectors})], dims={"a": 4})
    whole = file.read_bytes()
    with pq.ParquetFile(file) as parquet:
        column = parquet.metadata.row_group(1).column(6)
    assert column.path_in_schema.startswith("a.")
    for place in range(1, 11):
        damaged = bytearray(whole)
        damaged[column.data_page_offset + column.total_compressed_size - 97 * place] ^= 1
        file.write_bytes(damaged)
        with pytest.raises(DamagedEmbeddingsError, match="is damaged"):
            list(read.read_file(epath.Path(file), names=["a"]))
