import pathlib
import subprocess

import pytest
from etils import epath

from pipeline import checksums
from tests import users


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


def test_the_smallest_files_are_read_first_and_a_large_one_on_suspicion_only(folder):
    (folder / "variables" / "data").write_bytes(b"\1" + bytes(999))
    assert checksums.altered_file(folder, budget=100) is None
    assert checksums.altered_file(folder, budget=100, suspect="variables/data") == "variables/data"
    (folder / "info.json").write_text("{ ")
    assert checksums.altered_file(folder, budget=100) == "info.json"


def test_a_marked_file_is_read_again_so_that_it_can_be_put_back(folder):
    intact = (folder / "variables" / "data").read_bytes()
    (folder / "variables" / "data").write_bytes(b"\1" + bytes(999))
    checksums.mark_as_altered(folder, "variables/data")
    assert checksums.altered_file(folder, budget=0) == "variables/data"
    (folder / "variables" / "data").write_bytes(intact)
    assert checksums.altered_file(folder, budget=0) is None


def test_a_mark_without_a_checksum_lasts_until_the_folder_is_written_again(folder):
    (folder.parent / "5.sha256").unlink()
    checksums.mark_as_altered(folder, "variables/data")
    assert checksums.altered_file(folder, budget=0) == "variables/data"
    checksums.write(folder, staged=folder)
    assert checksums.altered_file(folder, budget=0) is None


@users.needs_root
def test_a_folder_that_cannot_be_listed_is_not_taken_for_altered(folder):
    with users.permissions(pathlib.Path(folder), 0), pytest.raises(PermissionError):
        checksums.altered_file(folder)


def test_reports_have_no_checksum(folder):
    (folder / "report.csv").write_text("a,b")
    checksums.write(folder, staged=folder, reports={"report.csv"})
    (folder / "report.csv").write_text("a;b")
    assert checksums.altered_file(folder) is None


def test_a_folder_without_checksums_counts_as_unaltered(tmp_path):
    (tmp_path / "file").write_text("")
    assert checksums.altered_file(epath.Path(tmp_path)) is None
