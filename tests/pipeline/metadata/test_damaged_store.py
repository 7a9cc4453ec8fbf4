import sqlite3

import pytest

from components.errors import DamagedFile, UserError
from pipeline.metadata import damaged_store, opening, sqlite
from pipeline.metadata.executions import CacheKey, Execution, Run
from pipeline.metadata.store import MetadataStore
from tests.pipeline.runner import stages


def run_again(root):
    stages.run(root, stages.build())


def list_runs(root):
    MetadataStore(str(root / "metadata.sqlite"), pipeline="test").runs()


@pytest.mark.parametrize(
    ("before", "after", "read"),
    [
        (b'{"examples": "', b'x"examples": "', run_again),
        (b"config", b"c0nfig", run_again),
        (b'["Numbers"', b'x"Numbers"', list_runs),
    ],
)
def test_a_garbled_store_is_one_sentence_with_the_file_and_the_way_out(tmp_path, before, after, read):
    stages.run(tmp_path, stages.build())
    file = tmp_path / "metadata.sqlite"
    content = file.read_bytes()
    assert before in content
    file.write_bytes(content.replace(before, after))
    with pytest.raises(DamagedFile, match=rf"{file} is damaged \(.*\): put a copy back, or move it away") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)
    file.rename(tmp_path / "away")
    assert stages.run(tmp_path, stages.build())["Verdict"].summary == "judged"


def test_a_page_that_went_bad(tmp_path):
    stages.run(tmp_path, stages.build())
    file = tmp_path / "metadata.sqlite"
    with sqlite3.connect(file) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'Execution'").fetchone()
        (page_bytes,) = database.execute("PRAGMA page_size").fetchone()
    content = bytearray(file.read_bytes())
    content[(page - 1) * page_bytes : page * page_bytes] = b"\xff" * page_bytes
    file.write_bytes(content)
    with pytest.raises(DamagedFile, match=f"{file} is damaged"):
        MetadataStore(str(file), pipeline="test").executions()


def test_the_password_of_a_server_is_not_shown():
    """Neither is a part of the name of a file taken for one."""
    assert opening.without_password("mysql://me:se@cret@host:1/db") == "mysql://host:1/db"
    assert opening.without_password("/a/b@c/metadata.sqlite") == "/a/b@c/metadata.sqlite"


def test_an_error_that_tells_of_no_damage_passes():
    with pytest.raises(sqlite3.OperationalError), damaged_store.explained("file"):
        raise sqlite3.OperationalError("database or disk is full")


def test_a_bug_is_not_called_damage(tmp_path):
    metadata = MetadataStore(str(tmp_path / "metadata.sqlite"), pipeline="test")
    run = Run(name="run", stages=("Numbers",), preset="")
    metadata.start_run(run)
    execution = Execution(
        cache_key=CacheKey(stage="Numbers", version=1, libraries={}, config={"a": object()}, inputs={}, external={})
    )
    with pytest.raises(Exception) as caught:  # noqa: PT011, each store raises its own
        metadata.put(execution, run=run)
    assert not isinstance(caught.value, UserError)


def test_a_file_that_is_no_store_has_one_sentence_for_reader_and_writer(tmp_path):
    folder = tmp_path / "b@c"
    folder.mkdir()
    file = folder / "metadata.sqlite"
    file.write_bytes(b"not a database" * 1000)
    for read_only in (False, True):
        with pytest.raises(DamagedFile, match=f"{file} is damaged"):
            MetadataStore(str(file), pipeline="test", read_only=read_only).runs()


@pytest.mark.parametrize("content", ["empty file", "empty database"])
def test_a_file_without_tables_is_an_empty_store_to_a_reader(tmp_path, monkeypatch, content):
    """A run was killed after it had created the file."""
    file = tmp_path / "metadata.sqlite"
    if content == "empty file":
        file.write_bytes(b"")
    else:
        with sqlite3.connect(file) as database:
            database.execute("CREATE TABLE other (id INT)")
    monkeypatch.setattr(sqlite.shutil, "copy", None)  # Nothing has to be copied for that.
    before = file.read_bytes()
    assert MetadataStore(str(file), pipeline="test", read_only=True).runs() == []
    assert file.read_bytes() == before
