"""Jobs on a service elsewhere. A runner of our own stands in for it at Beam's interface."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs import remote_jobs, runners
from tests.beam_jobs import remote_runner
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


def run(work):
    pipeline = runners.pipeline([remote_runner.FLAG])
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
    ender = threading.Thread(target=lambda: wait_until(lambda: len(states(service)) == 2) and end(service, "job1"))
    ender.start()
    run(tmp_path / "work")
    ender.join()
    assert not (tmp_path / "work" / "beam_job.json").exists()


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
    with pytest.raises(runners.StillRunningError, match="job job0 of an earlier run"):
        run(tmp_path / "work")


def test_a_job_that_fails_by_itself_raises_its_error_and_leaves_no_note(service, tmp_path):
    failer = threading.Thread(target=lambda: wait_until(lambda: states(service)) and end(service, "job0", "FAILED"))
    failer.start()
    with pytest.raises(RuntimeError, match="the job failed"):
        run(tmp_path / "work")
    failer.join()
    assert not list((tmp_path / "work").iterdir())


def test_dataflow_is_named_with_its_page_and_its_command():
    options = PipelineOptions(["--project=p", "--region=r"])
    said = remote_jobs._how_to_end("2026-1", runner="DataflowRunner", options=options)
    assert "https://console.cloud.google.com/dataflow/jobs/r/2026-1?project=p" in said
    assert "gcloud dataflow jobs cancel 2026-1 --project=p --region=r" in said


def test_the_state_of_dataflow_is_asked_for(monkeypatch):
    pytest.importorskip("apitools", reason="Beam's Google Cloud extra is not installed")
    # Imported here because they need the extra.
    from apache_beam.runners.dataflow.internal import apiclient
    from apache_beam.runners.dataflow.internal.clients import dataflow

    class Client:
        def __init__(self, options):
            del options

        def get_job(self, job):
            states = dataflow.Job.CurrentStateValueValuesEnum
            return dataflow.Job(id=job, currentState=states.JOB_STATE_CANCELLED)

    monkeypatch.setattr(apiclient, "DataflowApplicationClient", Client)
    assert remote_jobs._state("1", runner="DataflowRunner", options=PipelineOptions()) == "CANCELLED"
