import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from components.errors import UserError
from pipeline.vectors import index
from pipeline.vectors.stored import open_vectors
from tests import disks
from tests.pipeline.vectors.stored_files import random, write_file, write_folder


@pytest.fixture
def stored(tmp_path):
    """An opened file of 950 vectors: 317 files of three windows, but one of the last."""
    write_file(tmp_path / "e.parquet", random(950, 6), names=[f"{row // 3}.wav" for row in range(950)])
    return open_vectors(str(tmp_path / "e.parquet"))


def same(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("vectors", "norms", "files"))


class TestScaled:
    @pytest.mark.parametrize("scale", [1.0, 2.0**-14, 2.0**-20, 2.0**10])
    def test_float16_vectors_lose_nothing(self, scale):
        vectors = (random(50, 8) * scale).astype(np.float16)
        halves, norms = index.scaled(vectors)
        wide, exact = halves.astype(np.float64), vectors.astype(np.float64)
        factors = np.abs(exact).max(axis=1) / np.abs(wide).max(axis=1)
        np.testing.assert_array_equal(wide * factors[:, None], exact)
        assert (np.abs(wide).max(axis=1) <= 1).all()
        np.testing.assert_allclose(norms, np.linalg.norm(wide, axis=1), rtol=1e-6)

    @pytest.mark.parametrize("scale", [1e-38, 1e-20, 1e20, 1e38])
    def test_float32_vectors_of_any_size_keep_their_direction(self, scale):
        vectors = (random(50, 8, seed=1) / 4).astype(np.float64)
        halves, _ = index.scaled((vectors * scale).astype(np.float32))
        wide = halves.astype(np.float64)
        cosines = (wide * vectors).sum(1) / np.linalg.norm(wide, axis=1) / np.linalg.norm(vectors, axis=1)
        np.testing.assert_allclose(cosines, 1.0, atol=1e-6)

    def test_zeros_and_what_is_not_finite(self):
        vectors = np.array([[0, 0], [np.nan, 1e30], [np.inf, -1e30], [3, 4]], np.float32)
        halves, norms = index.scaled(vectors)
        np.testing.assert_array_equal(halves, [[0, 0], [0, 0], [0, 0], [3 / 8, 4 / 8]])
        np.testing.assert_array_equal(norms, np.array([0, np.nan, np.nan, 5 / 8], np.float32))
        assert np.isinf(vectors[2, 0])


def test_consecutive_rows_of_a_file_have_one_number_across_blocks(stored):
    made = index.load(stored)
    assert made.files.tolist() == [row // 3 for row in range(950)]
    assert made.folder is None


def test_an_index_is_read_again_until_the_embeddings_change(stored, tmp_path):
    in_memory = index.load(stored)
    cache = str(tmp_path / "cache")
    first, second = (index.load(stored, cache=cache) for _ in range(2))
    assert (first.is_new, second.is_new, first.folder == second.folder) == (True, False, True)
    assert same(first, in_memory)
    assert same(second, in_memory)
    before = os.stat(tmp_path / "e.parquet")
    write_file(tmp_path / "e.parquet", random(950, 6, seed=1), names=[f"{row // 3}.wav" for row in range(950)])
    assert os.stat(tmp_path / "e.parquet").st_size == before.st_size
    changed = index.load(open_vectors(str(tmp_path / "e.parquet")), cache=cache)
    assert changed.is_new
    assert not same(changed, in_memory)
    assert os.listdir(cache) == [changed.folder.name]


def test_columns_have_an_index_each(tmp_path):
    columns = {"embedding": random(9, 4), "log_mel": random(9, 4, seed=1)}
    write_file(tmp_path / "e.parquet", columns)
    for _ in range(2):
        for name, vectors in columns.items():
            made = index.load(open_vectors(str(tmp_path / "e.parquet"), features=name), cache=str(tmp_path / "cache"))
            np.testing.assert_array_equal(made.vectors, index.scaled(vectors)[0])


class TestPlace:
    @pytest.fixture(autouse=True)
    def always_on_disk(self, monkeypatch, tmp_path):
        monkeypatch.setattr(index, "_IN_MEMORY_BYTES", 0)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def test_beside_a_file(self, stored, tmp_path):
        assert index.load(stored).folder == tmp_path / "e.parquet.embedding.search"

    def test_a_published_folder_is_left_as_it_is(self, tmp_path):
        write_folder(tmp_path / "e", {"trained": {"waveform": random(9, 4)}})
        before = sorted(tmp_path.rglob("e/*"))
        made = index.load(open_vectors(str(tmp_path / "e")))
        assert made.folder.parent == tmp_path / "cache" / "diptych" / "search"
        assert sorted(tmp_path.rglob("e/*")) == before

    def test_a_damaged_index_is_one_sentence_or_made_anew(self, stored):
        folder = index.load(stored).folder
        (folder / "vectors.f16").write_bytes(b"short")
        with pytest.raises(UserError, match=f"the index {folder} is damaged .*: remove this folder"):
            index.load(stored)
        (folder / "index.json").write_text("{")
        assert index.load(stored).is_new

    def test_what_killed_processes_have_left_is_removed(self, stored, tmp_path):
        program = (
            "import os, signal; from pipeline.vectors import index, stored\n"
            "index._IN_MEMORY_BYTES = 0\n"
            "index.json.dumps = lambda *_: os.kill(os.getpid(), signal.SIGKILL) if os.listdir(PLACE)[1:] else '[]'\n"
            "index.load(stored.open_vectors(PLACE + '/e.parquet'))"
        ).replace("PLACE", repr(str(tmp_path)))
        killed = subprocess.run([sys.executable, "-c", program], check=False)
        assert killed.returncode == -signal.SIGKILL
        assert len(list(tmp_path.glob("*.writing"))) == 1
        assert index.load(stored).is_new
        assert {path.name for path in tmp_path.iterdir()} == {"e.parquet", "e.parquet.embedding.search"}

    def test_an_index_that_another_process_has_written_meanwhile_stays(self, stored, tmp_path):
        program = (
            "from pipeline.vectors import index, stored\n"
            "index._IN_MEMORY_BYTES = 0\n"
            f"assert index.load(stored.open_vectors({stored.path!r})).is_new"
        )
        folder = tmp_path / "e.parquet.embedding.search"
        inodes = []

        class Other:
            def update(self, done, *, total, unit):
                subprocess.run([sys.executable, "-c", program], check=True)
                inodes.append(folder.stat().st_ino)

        assert same(index.load(stored, progress=Other()), index.load(stored))
        assert inodes == [folder.stat().st_ino]
        assert {path.name for path in tmp_path.iterdir()} == {"e.parquet", folder.name}

    @pytest.mark.parametrize("is_folder", [False, True])
    def test_every_spelling_of_a_path_finds_the_index(self, stored, tmp_path, monkeypatch, is_folder):
        write_folder(tmp_path / "e", {"trained": {"waveform": random(9, 4)}})
        name = "e" if is_folder else "e.parquet"
        monkeypatch.chdir(tmp_path)
        made = [index.load(open_vectors(path)) for path in (name, f"{tmp_path}/{name}", f"../{tmp_path.name}/{name}")]
        assert [one.is_new for one in made] == [True, False, False]
        assert len({one.folder for one in made}) == 1

    def test_a_full_disk_is_one_sentence(self, stored, tmp_path):
        with disks.small(tmp_path / "small", size="8k") as folder:
            with pytest.raises(UserError, match=f"{folder}/.*no space left on the device"):
                index.load(stored, cache=str(folder))
            assert not list(folder.iterdir())
