import concurrent.futures
import subprocess
import sys
import threading

import pytest

from components.errors import UserError
from pipeline.metadata import opening
from pipeline.metadata.executions import Artifact, CacheKey, Execution, Run, State
from pipeline.metadata.records import Record
from pipeline.metadata.store import MetadataStore


def test_a_file_that_is_not_a_store_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "metadata.sqlite"
    path.write_text("this is text and not a database, long enough for SQLite to see that by its header\n" * 20)
    with pytest.raises(
        UserError, match=r"metadata.sqlite is damaged \(file is not a database\): .* or move it away"
    ) as caught:
        opening.open_records(str(path))
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"cannot be opened \("):
        opening.open_records(str(path / "below"))


def test_a_mysql_server_that_does_not_answer_is_reported_in_one_sentence():
    pytest.importorskip("ml_metadata", reason="ml-metadata has no build for this Python")
    with pytest.raises(UserError, match="needs a host and a database"):
        opening.open_records("mysql://user:secret@127.0.0.1:port/runs")
    # In its own process, because ML Metadata's log can only be silenced before ML Metadata is imported.
    uri = "mysql://me:secret@127.0.0.1:1/x"
    command = [sys.executable, "-m", "pipeline.cli", "status", "--root", ".", "--metadata", uri]
    status = subprocess.run(command, capture_output=True, text=True)
    assert status.returncode == 2
    assert status.stderr.startswith("diptych: The metadata store mysql://127.0.0.1:1/x cannot be opened (")
    assert "check that the server runs" in status.stderr
    assert status.stderr.count("\n") == 1


@pytest.mark.parametrize("uri", ["mysql://user:password@", "mysql:///database", "redis://x"])
def test_uris_that_name_no_store_are_refused(uri):
    with pytest.raises(UserError, match="--metadata"):
        opening.open_records(uri)


def test_an_execution_is_read_back_as_it_was_put(tmp_path):
    metadata = MetadataStore(str(tmp_path / "metadata.sqlite"), pipeline="test")
    run = Run(name="r", stages=("Trainer",), preset="tiny")
    metadata.start_run(run)
    execution = Execution(
        cache_key=CacheKey(
            stage="Trainer",
            version=3,
            libraries={"keras": "3.15.1"},
            config={"steps": 7, "model": {"width": 0.25}},
            inputs={"examples": "b2"},
            external={"source": "c3"},
        ),
        code={"components/trainer/step.py": "a1"},
        state=State.COMPLETE,
        why="first run",
        summary="trained",
        seconds=1.5,
        figures={"loss": 0.5, "steps": 7, "device": "cpu"},
        outputs={"model": Artifact(type="Model", uri="/model", digest="d4", listing="e5")},
    )
    metadata.put(execution, run=run)
    (read,) = metadata.executions(run=run, stage="Trainer")
    execution.started_ms = read.started_ms
    assert read == execution
    assert read.cache_key.digest == execution.cache_key.digest
    assert metadata.executions(stage="Exporter") == []


def test_a_pipeline_has_no_runs_of_another_whose_name_goes_on_with_a_colon(tmp_path):
    shared = {
        name: MetadataStore(str(tmp_path / "metadata.sqlite"), pipeline=name, root=tmp_path / "root")
        for name in ("/runs/a", "/runs/a:old", "gs://bucket/a")
    }
    for name, metadata in shared.items():
        metadata.start_run(Run(name=f"20261128-{len(name)}", stages=("Trainer",)))
    for name, metadata in shared.items():
        assert [run.name for run in metadata.runs()] == [f"20261128-{len(name)}"]


def test_roots_that_begin_to_share_a_store_at_the_same_time_do_not_disturb_each_other(tmp_path):
    roots, stages = 6, 8

    def record(file, root, start):
        start.wait()
        metadata = MetadataStore(str(file), pipeline=f"/runs/{root}", root=tmp_path / str(root))
        run = Run(name="r", stages=("Trainer",))
        metadata.start_run(run)
        for number in range(stages):
            key = CacheKey(stage=f"Stage{number}", version=1, libraries={}, config={}, inputs={}, external={})
            metadata.put(Execution(cache_key=key), run=run, new_id=metadata.newest_id() + 1)
        return [execution.id for execution in metadata.executions(run=run)]

    for trial in range(3):
        file, start = tmp_path / f"{trial}.sqlite", threading.Barrier(roots)
        with concurrent.futures.ThreadPoolExecutor(roots) as pool:
            ids = list(pool.map(record, [file] * roots, range(roots), [start] * roots))
        assert [len(of_root) for of_root in ids] == [stages] * roots
        assert len(set().union(*ids)) == roots * stages


def test_a_store_that_does_not_exist_is_empty_for_a_reader_and_not_created(tmp_path):
    metadata = MetadataStore(str(tmp_path / "metadata.sqlite"), pipeline="test", read_only=True)
    assert (metadata.runs(), metadata.executions(), metadata.executions(stage="Trainer")) == ([], [], [])
    assert not list(tmp_path.iterdir())


def test_properties_keep_their_names_over_versions(tmp_path):
    """Metadata that an earlier version stored stays readable."""
    metadata = MetadataStore(str(tmp_path / "metadata.sqlite"), pipeline="test")
    run = Run(name="r", stages=("Trainer",))
    metadata.start_run(run)
    key = CacheKey(stage="Trainer", version=1, libraries={}, config={}, inputs={}, external={})
    model = Artifact(type="Model", uri="/model", digest="d4", listing="e5")
    metadata.put(Execution(cache_key=key, figures={"loss": 0.5}, outputs={"model": model}), run=run)
    records = opening.open_records(str(tmp_path / "metadata.sqlite"))
    (pipeline,) = records.contexts("pipeline")
    (execution,) = records.executions(pipeline)
    of_key = {"cache_key", "version", "libraries", "config", "inputs", "external"}
    names = {*of_key, "code", "why", "summary", "seconds", "figure.loss"}
    assert set(execution.properties) == names
    (event,) = records.events([execution.id])
    assert event.artifact.properties == {"fingerprint": "d4", "listing": "e5"}


def test_records_of_an_earlier_version_are_read(tmp_path):
    """They have no versions, and the code is part of their cache key."""
    metadata = MetadataStore(str(tmp_path / "metadata.sqlite"), pipeline="test")
    run = Run(name="r", stages=("Trainer",))
    metadata.start_run(run)
    records = opening.open_records(str(tmp_path / "metadata.sqlite"))
    (pipeline,), (context,) = records.contexts("pipeline"), records.contexts("pipeline_run")
    old = dict.fromkeys(("config", "code", "inputs", "external"), "{}") | {"cache_key": "a1", "why": "first run"}
    record = Record(type="Trainer", state=State.COMPLETE, properties={**old, "summary": "trained", "seconds": 1.0})
    records.put_execution(record, events=[], contexts=[pipeline, context])
    (execution,) = metadata.executions(run=run)
    assert (execution.summary, execution.cache_key.version, execution.cache_key.libraries) == ("trained", 0, {})
