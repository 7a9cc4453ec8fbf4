import numpy as np
import pytest

from components.errors import UserError
from pipeline import records, records_sqlite
from pipeline.records import Event, Record


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
