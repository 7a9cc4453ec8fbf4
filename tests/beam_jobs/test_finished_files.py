"""Files that a job has finished on Cloud Storage, each with its record."""

import pytest
from etils import epath

from beam_jobs import finished_files, storage

ROOT = epath.Path("gs://bucket/root")

LONG = f'{{"quarantined": "{"x" * 8000}"}}'
"""A record that lies in a file of its own."""


def test_a_record_comes_with_its_file(buckets):
    for shard, record in (("one", '{"clips": 1}'), ("two", LONG)):
        with storage.scratch(ROOT / shard) as temporary:
            temporary.write_bytes(b"content")
            finished_files.put(temporary, ROOT / f"{shard}.0123", record=record)
    assert [request.kind for request in buckets.requests()] == ["upload", "upload", "upload"]
    assert finished_files.read_records(ROOT) == {"one": '{"clips": 1}', "two": LONG}
    assert [request.kind for request in buckets.requests(start=3)] == ["list", "read"]
    with storage.scratch(ROOT / "one") as temporary:
        temporary.write_bytes(b"of another attempt")
        finished_files.put(temporary, ROOT / "one.4567", record='{"clips": 2}')
    assert finished_files.read_record(ROOT, "one") == '{"clips": 2}'
    finished_files.write_record(ROOT, shard="one", file="one.4567", record='{"clips": 3}')
    assert finished_files.read_record(ROOT, "one") == '{"clips": 3}'


def test_an_attempt_that_is_killed_before_its_file_is_there_leaves_file_and_record_of_another(
    buckets, tmp_path, monkeypatch
):
    temporary = epath.Path(tmp_path / "file")
    temporary.write_bytes(b"content")
    finished_files.put(temporary, ROOT / "one.0123", record=LONG)
    monkeypatch.setattr(storage, "move_in", lambda *arguments, **options: _interrupt())
    with pytest.raises(KeyboardInterrupt):
        finished_files.put(temporary, ROOT / "one.4567", record=LONG.replace("x", "y"))
    assert finished_files.read_records(ROOT) == {"one": LONG}
    assert finished_files.read_record(ROOT, "one") == LONG


def test_a_file_whose_long_record_is_gone_is_not_finished(buckets, tmp_path):
    temporary = epath.Path(tmp_path / "file")
    temporary.write_bytes(b"content")
    finished_files.put(temporary, ROOT / "one.0123", record=LONG)
    (record,) = (ROOT / "_done").iterdir()
    record.unlink()
    assert finished_files.read_records(ROOT) == {}
    assert finished_files.read_record(ROOT, "one") is None


def _interrupt():
    raise KeyboardInterrupt
