import subprocess
import sys

import numpy as np
import pytest

from components.errors import UserError
from pipeline.metadata import records
from pipeline.metadata import sqlite as records_sqlite
from pipeline.metadata.records import Event, Record


def mlmd(path):
    pytest.importorskip("ml_metadata", reason="ml-metadata has no build for this Python")
    return records.open_records(str(path))


def sqlite(path):
    return records_sqlite.SqliteRecords(str(path))


def fill(store):
    """Two executions, the second reading what the first wrote, in two contexts."""
    contexts = [Record(type="pipeline", name="p"), Record(type="run", name="p:1", properties={"preset": "tiny"})]
    for context in contexts:
        store.put_context(context)
    maker = Record(type="Trainer", state=2, properties={"why": "first run"})
    store.put_execution(maker, events=[], contexts=contexts)
    model = Record(type="Model", uri="/model", state=2, properties={"fingerprint": "abc"})
    maker.state, maker.properties["loss"], maker.properties["steps"] = 3, 0.5, 7
    store.put_execution(maker, events=[Event(artifact=model, channel="model", output=True)], contexts=contexts)
    reader = Record(type="Exporter", state=6)
    store.put_execution(reader, events=[Event(artifact=model, channel="model", output=False)], contexts=contexts)


def content(store):
    """The run, its executions and their events."""
    (run,) = store.contexts("run")
    executions = store.executions(run)
    events = store.events([execution.id for execution in executions])
    assert all(record.created_ms > 1e12 for record in [run, *executions, *(event.artifact for event in events)])
    return run, executions, events


@pytest.mark.parametrize("reader", [mlmd, sqlite])
@pytest.mark.parametrize("writer", [mlmd, sqlite])
def test_what_either_writes_either_reads(tmp_path, writer, reader):
    fill(writer(tmp_path / "metadata.sqlite"))
    run, executions, events = content(reader(tmp_path / "metadata.sqlite"))
    assert (run.name, run.properties) == ("p:1", {"preset": "tiny"})
    assert [(e.type, e.state) for e in executions] == [("Trainer", 3), ("Exporter", 6)]
    assert executions[0].properties == {"why": "first run", "loss": 0.5, "steps": 7}
    assert [(e.execution_id, e.channel, e.output) for e in events] == [
        (executions[0].id, "model", True),
        (executions[1].id, "model", False),
    ]
    assert events[0].artifact == events[1].artifact
    assert (events[0].artifact.uri, events[0].artifact.properties) == ("/model", {"fingerprint": "abc"})


@pytest.mark.parametrize("make", [mlmd, sqlite])
def test_a_figure_may_be_no_number(tmp_path, make):
    store, context = make(tmp_path / "metadata.sqlite"), Record(type="pipeline", name="p")
    store.put_context(context)
    loss = records.plain(float("nan"))
    store.put_execution(Record(type="Trainer", properties={"loss": loss}), events=[], contexts=[context])
    (execution,) = store.executions(context)
    assert execution.properties == {"loss": "nan"}


@pytest.mark.parametrize("has_mlmd", [True, False])
def test_a_file_that_is_no_store_is_refused_in_one_sentence(tmp_path, monkeypatch, has_mlmd):
    if has_mlmd:
        pytest.importorskip("ml_metadata", reason="ml-metadata has no build for this Python")
    monkeypatch.setattr(records.importlib.util, "find_spec", lambda name: has_mlmd or None)
    path = tmp_path / "metadata.sqlite"
    path.write_text("this is text and not a database, long enough for SQLite to see that by its header\n" * 20)
    with pytest.raises(
        UserError, match=r"metadata.sqlite does not open \(file is not a database\): .*--metadata"
    ) as caught:
        records.open_records(str(path))
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"does not open \("):
        records.open_records(str(path / "below"))


def test_a_mysql_server_that_does_not_answer_is_one_sentence():
    pytest.importorskip("ml_metadata", reason="ml-metadata has no build for this Python")
    with pytest.raises(UserError, match="needs a host and a database"):
        records.open_records("mysql://user:secret@127.0.0.1:port/runs")
    # In a process of its own: only what happens before ML Metadata is loaded keeps its log off the terminal.
    code = (
        "from pipeline import cli; cli.main(['status', '--root', '.', '--metadata', 'mysql://me:secret@127.0.0.1:1/x'])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    assert said.startswith("diptych: The metadata store mysql://127.0.0.1:1/x does not open (")
    assert "check that the server runs" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("later", [mlmd, sqlite])
@pytest.mark.parametrize("first", [mlmd, sqlite])
def test_either_goes_on_with_the_others_file(tmp_path, first, later):
    fill(first(tmp_path / "metadata.sqlite"))
    store = later(tmp_path / "metadata.sqlite")
    (run,) = store.contexts("run")
    again = Record(type="Trainer", state=3)
    store.put_execution(again, events=[], contexts=[run])
    assert [execution.type for execution in first(tmp_path / "metadata.sqlite").executions(run)] == [
        "Trainer",
        "Exporter",
        "Trainer",
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(np.int64(3), 3), (np.float32(0.5), 0.5), (True, 1), ("x", "x"), (None, "None")],
)
def test_plain(value, expected):
    assert records.plain(value) == expected
    assert type(records.plain(value)) is type(expected)


@pytest.mark.parametrize("uri", ["mysql://user:password@", "mysql:///database", "redis://x"])
def test_stores_that_do_not_exist(uri):
    with pytest.raises(UserError, match="--metadata"):
        records.open_records(uri)
