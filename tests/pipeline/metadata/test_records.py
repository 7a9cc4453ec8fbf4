import numpy as np
import pytest

from pipeline.metadata import records
from pipeline.metadata.records import Event, Record
from pipeline.metadata.sqlite import SqliteRecords
from pipeline.metadata.store import open_records


def mlmd(path):
    pytest.importorskip("ml_metadata", reason="ml-metadata has no build for this Python")
    return open_records(str(path))


def sqlite(path):
    return SqliteRecords(str(path))


def fill(store):
    """Puts two executions into two contexts. The second execution reads what the first wrote."""
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
    """Returns the run, its executions and their events."""
    (run,) = store.contexts("run")
    executions = store.executions(run)
    events = store.events([execution.id for execution in executions])
    assert all(record.created_ms > 1e12 for record in [run, *executions, *(event.artifact for event in events)])
    return run, executions, events


@pytest.mark.parametrize("reader", [mlmd, sqlite])
@pytest.mark.parametrize("writer", [mlmd, sqlite])
def test_each_implementation_reads_what_the_other_wrote(tmp_path, writer, reader):
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
def test_a_figure_that_is_not_a_number_becomes_text(tmp_path, make):
    store, context = make(tmp_path / "metadata.sqlite"), Record(type="pipeline", name="p")
    store.put_context(context)
    loss = records.plain(float("nan"))
    store.put_execution(Record(type="Trainer", properties={"loss": loss}), events=[], contexts=[context])
    (execution,) = store.executions(context)
    assert execution.properties == {"loss": "nan"}


@pytest.mark.parametrize("later", [mlmd, sqlite])
@pytest.mark.parametrize("first", [mlmd, sqlite])
def test_each_implementation_continues_the_file_of_the_other(tmp_path, first, later):
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
def test_plain_converts_figures_to_property_values(value, expected):
    assert records.plain(value) == expected
    assert type(records.plain(value)) is type(expected)


def test_events_are_complete_if_a_stage_is_published_while_they_are_read(tmp_path):
    writer, reader = sqlite(tmp_path / "metadata.sqlite"), sqlite(tmp_path / "metadata.sqlite")
    context, execution = Record(type="pipeline", name="p"), Record(type="Trainer")
    writer.put_context(context)
    writer.put_execution(execution, events=[], contexts=[context])
    queries = []

    def publish_before_the_second_query(statement):
        queries.append(statement)
        if len(queries) == 2:
            event = Event(artifact=Record(type="Model", uri="model"), channel="model", output=True)
            writer.put_execution(execution, events=[event], contexts=[context])

    reader._db.set_trace_callback(publish_before_the_second_query)
    assert reader.events([execution.id]) == []
    reader._db.set_trace_callback(None)
    assert [event.artifact.uri for event in reader.events([execution.id])] == ["model"]
