"""Jobs on a service elsewhere. A runner of our own stands in for it at Beam's interface."""

import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading

import apache_beam as beam
import pytest
import requests
from apache_beam.options.pipeline_options import GoogleCloudOptions
from apache_beam.runners.portability import local_job_service
from apache_beam.runners.runner import PipelineState
from etils import epath

from beam_jobs import remote_jobs, runners
from components.errors import UserError
from components.statistics_gen import StatisticsGen, StatisticsGenConfig
from tests import corpora
from tests.beam_jobs import remote_runner
from tests.beam_jobs.ingest.ingest_source import ingest
from tests.components import harness, stored_examples
from tests.processes import wait_until

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def service(tmp_path, monkeypatch):
    """The folder with the state of each job of the service."""
    folder = tmp_path / "service"
    folder.mkdir()
    monkeypatch.setattr(remote_runner, "FOLDER", folder)
    return folder


def states(service):
    return {path.name: path.read_text() for path in sorted(service.glob("job*"))}


def run(work, *flags):
    pipeline = runners.pipeline(flags or [remote_runner.FLAG])
    _ = pipeline | beam.Create([1])
    runners.run(pipeline, work_dir=work)


def interrupt(service, work, number):
    """Starts a job in a process of its own, sends a signal, and returns what the process has said."""
    command = [sys.executable, "-m", remote_runner.__name__, str(work)]
    environment = {**os.environ, "REMOTE_JOBS": str(service)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        note = work / "beam_job.json"
        wait_until(lambda: note.exists() and json.loads(note.read_text())["job"])
        process.send_signal(number)
        return process.communicate(timeout=60)[1]
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_the_job_and_the_same_command_starts_another_one(service, tmp_path, number):
    messages = interrupt(service, tmp_path / "work", number)
    assert states(service) == {"job0": "CANCELLED"}
    assert "KeyboardInterrupt" in messages
    ender = threading.Thread(target=end_when_running, args=(service, "job1"))
    ender.start()
    run(tmp_path / "work")
    ender.join()
    assert not (tmp_path / "work" / "beam_job.json").exists()


def end_when_running(service, job):
    # The file is there before its content. What is written in between would be overwritten.
    wait_until(lambda: states(service).get(job) == "RUNNING")
    end(service, job)


def end(service, job, state="DONE"):
    (service / job).write_text(state)


def test_a_job_that_cannot_be_canceled_is_named_and_not_joined_by_a_second_one(service, tmp_path):
    (service / "refuses").touch()
    messages = interrupt(service, tmp_path / "work", signal.SIGINT)
    assert "job job0 could not be canceled so far (OSError: 503 Service Unavailable): watch it or cancel it" in messages
    note = tmp_path / "work" / "beam_job.json"
    with pytest.raises(runners.StillRunningError, match=rf"job job0 of an earlier run .* remove {note} and run"):
        run(tmp_path / "work")
    assert states(service) == {"job0": "RUNNING"}


def test_a_job_whose_launcher_was_killed_is_not_joined_by_a_second_one(service, tmp_path):
    interrupt(service, tmp_path / "work", signal.SIGKILL)
    for flags in ([remote_runner.FLAG], ["--runner=DirectRunner"]):  # This machine must not write beside it, either.
        with pytest.raises(runners.StillRunningError, match="job job0 of an earlier run"):
            run(tmp_path / "work", *flags)


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def note_of_a_running_job(tmp_path):
    remote_jobs.Note(runner="RemoteRunner", job="job0").write(epath.Path(tmp_path / "run" / "work" / remote_jobs.NOTE))


@pytest.mark.usefixtures("note_of_a_running_job")
@pytest.mark.parametrize("flags", [(), (remote_runner.FLAG,)])
class TestRefusalChangesNothing:
    def test_of_what_an_ingest_has_written(self, tmp_path, flags):
        work = tmp_path / "run" / "work"
        (work / "audio-train.tfrecord-00000-of-00001.1234.writing").write_text("half a shard")
        before = files(work)
        with pytest.raises(runners.StillRunningError):
            ingest(corpora.esc50(tmp_path / "esc", clips=3), work, beam_args=flags)
        assert files(work) == before

    def test_of_the_marks_of_the_statistics(self, tmp_path, flags):
        seen = tmp_path / "run" / "work" / "seen"
        seen.mkdir()
        (seen / "audio-train.tfrecord-00000-of-00001").touch()
        examples = stored_examples.write_examples(
            tmp_path / "examples", {"train": [(stored_examples.sound(0, seed=0), [0], 0)]}, label_names=("tone",)
        )
        before = files(tmp_path / "run")
        with pytest.raises(UserError, match="job job0 of an earlier run"):
            harness.execute(StatisticsGen(StatisticsGenConfig(beam_args=flags)), tmp_path / "run", examples=examples)
        assert files(tmp_path / "run") == before


class TestState:
    """Of the job of an earlier run: it is asked for where that run has started it."""

    def test_a_service_that_does_not_know_the_job(self, tmp_path):
        service = local_job_service.LocalJobServicer(str(tmp_path))
        port = service.start_grpc_server(0)
        try:
            assert remote_jobs._state(remote_jobs.Note(job="1", endpoint=f"localhost:{port}")) == PipelineState.FAILED
        finally:
            service.stop()

    @pytest.mark.parametrize("runner", ["PortableRunner", "DataflowRunner"])
    def test_a_service_that_does_not_answer(self, monkeypatch, runner):
        monkeypatch.setitem(sys.modules, "apache_beam.runners.dataflow.internal.apiclient", None)
        assert remote_jobs._state(remote_jobs.Note(runner=runner, job="1", endpoint="localhost:9")) == "UNKNOWN"

    def test_a_service_inside_the_process_has_ended_with_it(self, tmp_path):
        note = epath.Path(tmp_path / remote_jobs.NOTE)
        remote_jobs.Note(runner="PortableRunner", job="1", endpoint="embed").write(note)
        runners.check_free(tmp_path)
        assert not note.exists()

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"runner": "PortableRunner", "job": "1"}'])
    def test_a_note_that_does_not_say_where_to_ask(self, tmp_path, content):
        (tmp_path / remote_jobs.NOTE).write_text(content)
        with pytest.raises(runners.StillRunningError, match=f"remove {tmp_path}/beam_job.json and run"):
            runners.check_free(tmp_path)

    def test_a_note_says_where_to_ask(self, service, tmp_path):
        notes = []

        def read_note_and_end():
            wait_until(lambda: states(service))
            note = tmp_path / remote_jobs.NOTE
            wait_until(lambda: "job0" in note.read_text())
            notes.append(json.loads(note.read_text()))
            end(service, "job0")

        ender = threading.Thread(target=read_note_and_end)
        ender.start()
        run(tmp_path, remote_runner.FLAG, "--project=p", "--region=r")
        ender.join()
        assert notes == [{"runner": "RemoteRunner", "job": "job0", "endpoint": "", "project": "p", "region": "r"}]


def test_a_job_that_fails_by_itself_raises_its_error_and_leaves_no_note(service, tmp_path):
    def fail():  # Not before the file is written, or the job would run on.
        wait_until(lambda: states(service) == {"job0": "RUNNING"})
        end(service, "job0", "FAILED")

    failer = threading.Thread(target=fail)
    failer.start()
    with pytest.raises(RuntimeError, match="the job failed"):
        run(tmp_path / "work")
    failer.join()
    assert not list((tmp_path / "work").iterdir())


class _Answer(Exception):
    def __init__(self, status):
        super().__init__(f"HTTP {status}")
        self.status_code = status  # As of apitools' HttpError.


@pytest.mark.parametrize(
    ("error", "may_have_started"),
    [
        (ConnectionResetError("reset"), True),
        (TimeoutError("timed out"), True),
        (http.client.RemoteDisconnected("closed"), True),
        (requests.ConnectionError("reset"), True),
        (_Answer(503), True),
        (_Answer(403), False),
        (ValueError("no such flag"), False),
        (FileNotFoundError("setup.py"), False),
        (PermissionError("denied"), False),
    ],
    ids=repr,
)
def test_a_job_whose_start_was_not_answered_is_not_joined_by_a_second_one(
    service, tmp_path, monkeypatch, error, may_have_started
):
    def start(*_):
        raise RuntimeError("the job was not started") from error

    monkeypatch.setattr(remote_runner.RemoteRunner, "run_pipeline", start)
    with pytest.raises(RuntimeError, match="not started"):
        run(tmp_path / "work")
    monkeypatch.undo()
    monkeypatch.setattr(remote_runner, "FOLDER", service)
    if may_have_started:
        with pytest.raises(remote_jobs.StillRunningError, match="a job of an earlier run"):
            remote_jobs.check_free(epath.Path(tmp_path / "work"))
        (tmp_path / "work" / remote_jobs.NOTE).unlink()
    remote_jobs.check_free(epath.Path(tmp_path / "work"))


def test_dataflow_is_named_with_its_page_and_its_command():
    note = remote_jobs.Note(runner="DataflowRunner", job="2026-1", project="p", region="r")
    said = remote_jobs._how_to_end(note)
    assert "https://console.cloud.google.com/dataflow/jobs/r/2026-1?project=p" in said
    assert "gcloud dataflow jobs cancel 2026-1 --project=p --region=r" in said


def test_the_state_of_dataflow_is_asked_for(monkeypatch):
    pytest.importorskip("apitools", reason="Beam's Google Cloud extra is not installed")
    # Imported here because they need the extra.
    from apache_beam.runners.dataflow.internal import apiclient
    from apache_beam.runners.dataflow.internal.clients import dataflow

    class Client:
        def __init__(self, options):
            cloud = options.view_as(GoogleCloudOptions)
            assert (cloud.project, cloud.region) == ("p", "r")

        def get_job(self, job):
            states = dataflow.Job.CurrentStateValueValuesEnum
            return dataflow.Job(id=job, currentState=states.JOB_STATE_CANCELLED)

    monkeypatch.setattr(apiclient, "DataflowApplicationClient", Client)
    note = remote_jobs.Note(runner="DataflowRunner", job="1", project="p", region="r")
    assert remote_jobs._state(note) == "CANCELLED"
