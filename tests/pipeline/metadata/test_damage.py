import sqlite3

import pytest

from components.errors import DamagedFile
from pipeline.metadata import damage, sqlite, store
from pipeline.metadata.store import MetadataStore
from tests.pipeline.runner import stages


@pytest.fixture(params=["mlmd", "sqlite"])
def either_store(request, monkeypatch):
    """Metadata kept by ML Metadata, then by our own writer of its tables."""
    if request.param == "mlmd":
        pytest.importorskip("ml_metadata", reason="ml-metadata has no build for this Python")
    else:
        monkeypatch.setattr(store, "open_records", sqlite.SqliteRecords)


@pytest.mark.usefixtures("either_store")
@pytest.mark.parametrize(
    ("before", "after"),
    [(b'{"examples": "', b'x"examples": "'), (b'["Numbers"', b'x"Numbers"'), (b"config", b"c0nfig")],
)
def test_a_garbled_store_is_one_sentence_with_the_file_and_the_way_out(tmp_path, before, after):
    stages.run(tmp_path, stages.build())
    file = tmp_path / "metadata.sqlite"
    content = file.read_bytes()
    assert before in content
    file.write_bytes(content.replace(before, after))
    with pytest.raises(DamagedFile, match=rf"{file} is damaged \(.*\): put a copy back, or move it away") as caught:
        stages.run(tmp_path, stages.build())
    assert "\n" not in str(caught.value)
    file.rename(tmp_path / "away")
    assert stages.run(tmp_path, stages.build())["Verdict"].summary == "judged"


def test_a_page_that_went_bad(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "open_records", sqlite.SqliteRecords)
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
    with pytest.raises(DamagedFile) as caught, damage.explained("mysql://me:secret@host/db"):
        raise KeyError("config")
    assert str(caught.value).startswith("The metadata store host/db is damaged (a record lacks 'config')")


def test_an_error_that_tells_of_no_damage_passes():
    with pytest.raises(sqlite3.OperationalError), damage.explained("file"):
        raise sqlite3.OperationalError("database or disk is full")
