import subprocess

import pytest
from etils import epath

from pipeline import checksums


@pytest.fixture
def folder(tmp_path):
    """A published folder with checksums."""
    folder = epath.Path(tmp_path / "model" / "5")
    (folder / "variables").mkdir(parents=True)
    (folder / "variables" / "data").write_bytes(bytes(1000))
    (folder / "info.json").write_text("{}")
    checksums.write(folder, staged=folder)
    return folder


def test_sha256sum_reads_the_checksums(folder):
    done = subprocess.run(["sha256sum", "-c", "../5.sha256"], cwd=folder, capture_output=True, text=True, check=True)
    assert sorted(done.stdout.splitlines()) == ["info.json: OK", "variables/data: OK"]


def test_an_altered_file_is_named(folder):
    assert checksums.altered_file(folder) is None
    (folder / "variables" / "data").write_bytes(b"\1" + bytes(999))
    assert checksums.altered_file(folder) == "variables/data"
    (folder / "variables" / "data").unlink()
    assert checksums.altered_file(folder) == "variables/data"


def test_the_smallest_files_are_read_first_and_large_ones_on_suspicion_only(folder):
    (folder / "variables" / "data").write_bytes(b"\1" + bytes(999))
    assert checksums.altered_file(folder, budget=100) is None
    assert checksums.altered_file(folder, budget=100, suspects="cannot read variables/data at 0") == "variables/data"
    (folder / "info.json").write_text("{ ")
    assert checksums.altered_file(folder, budget=100) == "info.json"


def test_a_mark_outlives_the_search_and_not_the_folder(folder):
    checksums.mark_as_altered(folder, "variables/data")
    assert checksums.altered_file(folder, budget=0) == "variables/data"
    checksums.write(folder, staged=folder)
    assert checksums.altered_file(folder, budget=0) is None


def test_a_folder_without_checksums_counts_as_unaltered(tmp_path):
    (tmp_path / "file").write_text("")
    assert checksums.altered_file(epath.Path(tmp_path)) is None
