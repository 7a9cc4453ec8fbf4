"""Which files a head is trained on, and the memory that it takes."""

import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import UserError
from pipeline import cli
from pipeline.vectors.head import labeled, labels, training
from pipeline.vectors.stored import open_vectors
from tests.pipeline.vectors.stored_files import random, write_file


def _read(folder, names, vectors, classes):
    """Reads files whose classes are given by their number."""
    write_file(folder / "e.parquet", vectors, names=names)
    rows = [f"{name},{classes[number]}" for number, name in enumerate(dict.fromkeys(names))]
    (folder / "labels.csv").write_text("file,label\n" + "\n".join(rows) + "\n")
    return labeled.read(open_vectors(str(folder / "e.parquet")), labels.read(str(folder / "labels.csv")))


def test_each_file_is_the_mean_of_its_rows(tmp_path):
    vectors = random(12, 3)
    names = [f"{row // 2}.wav" for row in range(12)]
    data = _read(tmp_path, names, vectors, ["a", "b"] * 3)
    assert data.files == [f"{number}.wav" for number in range(6)]
    np.testing.assert_allclose(data.x, vectors.reshape(6, 2, 3).mean(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(data.targets, np.eye(2, dtype=bool)[[0, 1] * 3])


def test_a_file_that_was_embedded_twice_counts_once(tmp_path):
    vectors = random(9, 3)
    data = _read(tmp_path, [*(f"{row}.wav" for row in range(8)), "0.wav"], vectors, ["a", "b"] * 4)
    assert (len(data.files), data.labeled) == (8, 8)
    np.testing.assert_array_equal(data.x, vectors[:8])


@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=8), most=st.integers(1, 1000), several=st.booleans())
def test_a_sample_has_the_same_share_of_each_class_and_some_of_the_rare_ones(sizes, most, several):
    classes_of = {
        f"{label}/{number}.wav": (str(label), *(["loud"] if several and number % 2 else []))
        for label, size in enumerate(sizes)
        for number in range(size)
    }
    chosen = labeled.sample(classes_of, most=most)
    assert len(chosen) == min(most, len(classes_of)) == len(set(chosen))
    assert chosen == [name for name in classes_of if name in set(chosen)]
    assert set(chosen) == set(labeled.sample(dict(reversed(classes_of.items())), most=most))
    if several:
        return
    kept = Counter(name.split("/")[0] for name in chosen)
    for label, size in enumerate(sizes):
        fair = min(size, 32, most // len(sizes))
        assert kept[str(label)] >= fair
        if kept[str(label)] > 32:
            assert kept[str(label)] / size <= len(chosen) / len(classes_of) + 1 / size


@pytest.mark.parametrize("files", [7, 8])
def test_embeddings_that_are_written_again_meanwhile_train_no_head(tmp_path, monkeypatch, files):
    real = labeled.sample

    def sample_and_write(classes_of, *, most):
        write_file(tmp_path / "e.parquet", random(files, 3))
        return real(classes_of, most=most)

    monkeypatch.setattr(labeled, "sample", sample_and_write)
    with pytest.raises(UserError, match="e.parquet was written again while it was read: start again"):
        _read(tmp_path, [f"{row}.wav" for row in range(8)], random(8, 3), ["a", "b"] * 4)


def test_a_head_of_a_sample_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "_FLOATS", 40 * (3 * 5 + 9 * 2))
    vectors = random(100, 5) + np.array([[3.0], [-3.0]] * 50)
    data = _read(tmp_path, [f"{row}.wav" for row in range(100)], vectors, ["a", "b"] * 50)
    assert (len(data.files), data.labeled) == (40, 100)
    assert data.targets.sum(axis=0).tolist() == [20, 20]
    np.testing.assert_allclose(data.x, vectors[[int(name.removesuffix(".wav")) for name in data.files]], rtol=1e-6)
    flags = ["--embeddings", tmp_path / "e.parquet", "--labels", tmp_path / "labels.csv"]
    assert cli.main(["classify", *map(str, flags)]) == 0
    printed = capsys.readouterr()
    assert "trains on a sample of 40 of 100 labeled files" in printed.err
    assert "accuracy 1.000" in printed.out
    assert "over 40 files" in printed.out


def test_rows_of_a_list_that_are_no_clips_are_said(tmp_path, capsys):
    write_file(tmp_path / "e.parquet", random(8, 5) + np.array([[9.0], [-9.0]] * 4))
    rows = [f"{row}.wav,{'ab'[row % 2]}" for row in range(8)]
    (tmp_path / "manifest.csv").write_text("\n".join(["path,labels", *rows, "0.wav,b"]) + "\n")
    assert cli.main(["classify", "--embeddings", str(tmp_path / "e.parquet"), "--labels", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert "diptych: left out 1 of the rows and files of --labels, e.g. " in printed.err
    assert f"{tmp_path}/manifest.csv:10: " in printed.err
    assert "over 8 files" in printed.out


@pytest.mark.slow
def test_memory_stays_below_2_gib_for_400_000_files(tmp_path):
    """Of 512 values each."""
    files, dim, part = 400_000, 512, 20_000
    schema = pa.schema(
        [
            ("file", pa.string()),
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
            ("embedding", pa.list_(pa.float16(), dim)),
        ]
    )
    rng = np.random.default_rng(0)
    with pq.ParquetWriter(tmp_path / "e.parquet", schema) as writer:
        for first in range(0, files, part):
            names = [f"/elsewhere/sounds/{k % 4}/recording number {k}.wav" for k in range(first, first + part)]
            vectors = rng.normal(size=(part, dim)).astype(np.float16)
            vectors[np.arange(part), np.arange(first, first + part) % 4] += 4
            flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), dim)
            times = pa.array(np.zeros(part))
            writer.write_table(pa.Table.from_arrays([pa.array(names), times, times, flat], schema=schema), 1024)
    rows = (f"{k % 4}/recording number {k}.wav,class {k % 4}" for k in range(files))
    (tmp_path / "labels.csv").write_text("file,label\n" + "\n".join(rows) + "\n")
    program = (
        "import json, re, sys\nfrom pipeline import cli\nstatus = cli.main(sys.argv[1:])\n"
        # Not getrusage's peak, which begins with that of this process.
        "peak = re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1]\n"
        "print(json.dumps([status, int(peak)]))"
    )
    flags = ["classify", "--embeddings", tmp_path / "e.parquet", "--labels", tmp_path / "labels.csv"]
    process = subprocess.run(
        [sys.executable, "-c", program, *map(str, flags)], capture_output=True, text=True, check=True
    )
    status, peak_kib = json.loads(process.stdout.splitlines()[-1])
    assert status == 0
    assert "accuracy 0.9" in process.stdout
    assert "of 400,000 labeled files" in process.stderr
    assert peak_kib < 2 * 2**20
