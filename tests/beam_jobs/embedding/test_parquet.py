"""Damaged files, read in a process of their own: a reader that aborts ends it with a signal."""

import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from beam_jobs.embedding import table
from tests.pipeline.vectors.stored_files import random, write_file

FLIPS = 300

PROGRAM = """
import collections, sys
import numpy as np
import pyarrow as pa
from etils import epath
from beam_jobs.embedding import read
from beam_jobs.embedding.info import DamagedEmbeddingsError
from components.errors import UserError
from pipeline.vectors import stored

pa.set_memory_pool(pa.system_memory_pool())
kind, path, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
whole = open(path, "rb").read()
outcomes = collections.Counter()
for seed in range(first, last):
    rng = np.random.default_rng(seed)
    content = bytearray(whole)
    for place in rng.integers(len(content), size=rng.integers(1, 5)):
        content[place] ^= int(rng.integers(1, 256))
    damaged = path + ".damaged.parquet"
    open(damaged, "wb").write(content)
    try:
        if kind == "folder":
            for _ in read.read_file(epath.Path(damaged), names=["waveform"]):
                pass
        else:
            opened = stored.open_vectors(damaged)
            for _ in opened.blocks():
                pass
            opened.places(np.arange(len(opened)))
        outcomes["read"] += 1
    except (DamagedEmbeddingsError, UserError) as error:
        assert "\\n" not in str(error), str(error)
        outcomes["refused"] += 1
print(outcomes["read"], outcomes["refused"])
"""


def _folder_file(path):
    rows = 300
    content = table.Rows(
        clip_ids=np.array([f"clip {k // 3}" for k in range(rows)], object),
        splits=np.full(rows, "train", object),
        folds=np.zeros(rows, np.int32),
        label_values=np.arange(rows, dtype=np.int32) % 5,
        label_offsets=np.arange(rows + 1),
        start_s=np.zeros(rows),
        end_s=np.ones(rows),
        vectors={"waveform": random(rows, 4).astype(np.float16)},
    )
    pq.write_table(table.to_arrow(content), path, row_group_size=100)


@pytest.mark.parametrize(
    ("kind", "write"), [("folder", _folder_file), ("file", lambda path: write_file(path, random(300, 4)))]
)
@pytest.mark.parametrize("flips", [40, pytest.param(2000, marks=pytest.mark.slow)])
def test_bytes_that_were_flipped_end_in_one_sentence(tmp_path, kind, write, flips):
    write(tmp_path / "e.parquet")
    command = [sys.executable, "-c", PROGRAM, kind, str(tmp_path / "e.parquet"), "0", str(flips)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr[-2000:]
    read, refused = map(int, process.stdout.split())
    assert read + refused == flips
    assert refused > flips / 10
