import numpy as np
import pytest

from pipeline.metadata import records
from pipeline.metadata.records import EVERY, Event, Query, Record
from pipeline.metadata.sqlite import SqliteRecords
from tests.pipeline.metadata import mlmd_stores


def mlmd(path):
    return mlmd_stores.open_records(path)


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


@pytest.mark.parametrize("make", [mlmd, sqlite])
def test_a_new_execution_gets_an_id_that_is_high_enough(tmp_path, make):
    store = make(tmp_path / "metadata.sqlite")
    assert store.newest_execution_id() == 0
    fill(store)
    assert store.newest_execution_id() == 2
    (run,) = store.contexts("run")
    ids = []
    for lowest in (0, 6, 3, 8):
        execution = Record(type="Trainer", state=2)
        store.put_execution(execution, events=[], contexts=[run], new_id=lowest)
        ids.append(execution.id)
        execution.state = 3
        store.put_execution(execution, events=[], contexts=[run], new_id=20)  # One that has an id keeps it.
    assert ids == [3, 6, 7, 8]
    assert store.newest_execution_id() == 8
    assert [execution.id for execution in store.executions(run)] == [1, 2, *ids]


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


QUERIES = [
    EVERY,
    Query(type="Trainer"),
    Query(type="none"),
    Query(ids=(2, 5, 99)),
    Query(ids=()),
    Query(states=(3, 6)),
    Query(below=9, newest=2),
    Query(properties={"cache_key": "k1"}),
    Query(type="Exporter", states=(3, 6), properties={"cache_key": "k0"}, below=20, newest=1),
]


def test_both_implementations_answer_every_query_alike(tmp_path):
    ours, theirs = sqlite(tmp_path / "metadata.sqlite"), mlmd(tmp_path / "metadata.sqlite")
    contexts = [Record(type="pipeline", name=name) for name in "pq"]
    for store, context in zip((ours, theirs), contexts, strict=True):
        store.put_context(context)
    for i in range(24):
        execution = Record(
            type=("Trainer", "Exporter")[i % 2], state=(3, 5, 6)[i % 3], properties={"cache_key": f"k{i % 4 // 2}"}
        )
        output = Event(artifact=Record(type="Model", uri=f"u{i}", state=2), channel="model", output=True)
        put = (ours, theirs)[i % 2].put_execution
        put(execution, events=[output], contexts=(contexts[:1], contexts[1:], contexts)[i % 3])
    answers = []
    for context in contexts:
        assert ours.artifacts(context) == theirs.artifacts(context)
        assert ours.artifacts(context, type_name="Model") == theirs.artifacts(context, type_name="Model")
        for query in QUERIES:
            answers.append([execution.id for execution in ours.executions(context, query)])
            assert ours.executions(context, query) == theirs.executions(context, query)
    assert answers[:3] == [[i + 1 for i in range(24) if i % 3 != 1], [i + 1 for i in range(0, 24, 2) if i % 3 != 1], []]
    assert answers[6] == [6, 7]
    assert ours.events_of([3, 4]) == theirs.events_of([3, 4])
    assert ours.events([3, 4]) == theirs.events([3, 4])
    assert ours.writers([3, 4]) == theirs.writers([3, 4]) == {3: 3, 4: 4}


@pytest.mark.parametrize("make", [mlmd, sqlite])
def test_the_writer_of_an_artifact_is_not_who_reused_it(tmp_path, make):
    fill(make(tmp_path / "metadata.sqlite"))
    store = make(tmp_path / "metadata.sqlite")
    (pipeline,), (model,) = store.contexts("pipeline"), [event.artifact for event in store.events([1])]
    store.put_execution(
        Record(type="Trainer", state=5),
        events=[Event(artifact=model, channel="model", output=True)],
        contexts=[pipeline],
    )
    assert store.writers([model.id]) == {model.id: 1}


@pytest.mark.parametrize("make", [mlmd, sqlite])
def test_the_state_of_an_artifact_can_be_changed_alone(tmp_path, make):
    fill(make(tmp_path / "metadata.sqlite"))
    store = make(tmp_path / "metadata.sqlite")
    (event,) = store.events([1])
    event.artifact.state = 4
    store.put_artifact(event.artifact)
    (read,) = make(tmp_path / "metadata.sqlite").events([1])
    assert read.artifact == event.artifact


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
    first = Event(artifact=Record(type="Examples", uri="examples"), channel="examples", output=False)
    writer.put_execution(execution, events=[first], contexts=[context])
    queries = []

    def publish_before_the_second_query(statement):
        queries.append(statement)
        if len(queries) == 2:
            event = Event(artifact=Record(type="Model", uri="model"), channel="model", output=True)
            writer.put_execution(execution, events=[event], contexts=[context])

    reader._db.set_trace_callback(publish_before_the_second_query)
    assert [event.artifact.uri for event in reader.events([execution.id])] == ["examples"]
    reader._db.set_trace_callback(None)
    assert [event.artifact.uri for event in reader.events([execution.id])] == ["examples", "model"]
