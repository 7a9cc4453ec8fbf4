"""Runs a Beam job on a service elsewhere, which goes on when this process ends.

The job is canceled when this process is interrupted. A note in the work folder names the job while it may be running,
so that the same command does not start a second one beside it.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterator

import apache_beam as beam
import grpc
from absl import logging
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, PortableOptions
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc
from apache_beam.runners.runner import PipelineResult, PipelineState
from etils import epath

from beam_jobs import storage

NOTE = "beam_job.json"
_CANCEL_S = 20.0  # After SIGTERM, a container has thirty seconds.
_POLL_S = 0.5


class StillRunningError(Exception):
    """A job of an earlier run may still be running. The message is one sentence."""


def run(pipeline: beam.Pipeline, *, work_dir: epath.Path) -> None:
    """Runs a job to its end.

    Args:
        pipeline: The job.
        work_dir: The folder of the note.

    Raises:
        StillRunningError: An earlier job with this work folder may still be running.
    """
    runner = type(pipeline.runner).__name__
    note = work_dir / NOTE
    _check_no_other(note, pipeline.options)
    _write_note(note, runner=runner, job="")
    try:
        result = pipeline.run()
    except Exception:
        note.unlink(missing_ok=True)
        raise
    except BaseException:
        logging.warning("the job may have started: %s", _how_to_end("", runner=runner, options=pipeline.options))
        raise
    job = _job_id(result)
    _write_note(note, runner=runner, job=job)
    with _canceling(result, note=note, job=job, runner=runner, options=pipeline.options):
        _wait(result)


def _check_no_other(note: epath.Path, options: PipelineOptions) -> None:
    """Raises StillRunningError unless the job of an earlier note has ended."""
    if not note.exists():
        return
    earlier = json.loads(note.read_text())
    if PipelineState.is_terminal(_state(earlier["job"], runner=earlier["runner"], options=options)):
        return
    name = f"job {earlier['job']}" if earlier["job"] else "a job"
    end = _how_to_end(earlier["job"], runner=earlier["runner"], options=options)
    raise StillRunningError(
        f"{name} of an earlier run ({earlier['runner']}) may still be writing into {note.parent}: {end}; once it has "
        f"ended, remove {note} and run the same command"
    )


def _write_note(note: epath.Path, *, runner: str, job: str) -> None:
    note.parent.mkdir(parents=True, exist_ok=True)
    storage.write_text(note, json.dumps({"runner": runner, "job": job}))


@contextlib.contextmanager
def _canceling(
    result: PipelineResult, *, note: epath.Path, job: str, runner: str, options: PipelineOptions
) -> Iterator[None]:
    """Cancels the job if the block raises and the job has not ended, and removes the note of a job that has ended."""
    try:
        yield
    except BaseException:
        try:
            state = _cancel(result)
        except BaseException as error:  # Also a second Ctrl-C. The first one is raised in any case.
            state = f"{type(error).__name__}: {error}"
        if PipelineState.is_terminal(state):
            note.unlink(missing_ok=True)
        else:
            end = _how_to_end(job, runner=runner, options=options)
            logging.warning("job %s could not be canceled so far (%s): %s", job, state, end)
        raise
    note.unlink(missing_ok=True)


def _wait(result: PipelineResult) -> None:
    """Waits for the end of a job. The main thread only sleeps, so that signals reach it whatever the runner does."""
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            result.wait_until_finish()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=wait, name="beam job", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_POLL_S)
    if errors:
        raise errors[0]


def _cancel(result: PipelineResult) -> str | None:
    """Cancels a job, waits a little for its end, and returns its state."""
    state = result.state
    if PipelineState.is_terminal(state):
        return state
    state = result.cancel() or result.state
    deadline = time.monotonic() + _CANCEL_S
    while not PipelineState.is_terminal(state) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        state = result.state
    return state


def _job_id(result: PipelineResult) -> str:
    """Returns the id of a job. Beam's runners do not agree on where it is."""
    job = getattr(result, "job_id", None) or getattr(result, "_job_id", None) or ""
    return str(job() if callable(job) else job)


def _state(job: str, *, runner: str, options: PipelineOptions) -> str:
    """Asks the service for the state of a job; UNKNOWN if it cannot be asked."""
    if job and runner == "DataflowRunner":
        # Imported here because it needs Beam's Google Cloud extra.
        from apache_beam.runners.dataflow import dataflow_runner
        from apache_beam.runners.dataflow.internal import apiclient

        found = apiclient.DataflowApplicationClient(options).get_job(job)
        return dataflow_runner.DataflowPipelineResult.api_jobstate_to_pipeline_state(found.currentState)
    endpoint = options.view_as(PortableOptions).job_endpoint
    if not job or endpoint in (None, "embed"):
        return PipelineState.UNKNOWN
    with grpc.insecure_channel(endpoint) as channel:
        request = beam_job_api_pb2.GetJobStateRequest(job_id=job)
        try:
            state = beam_job_api_pb2_grpc.JobServiceStub(channel).GetState(request).state
        except grpc.RpcError as error:
            # A service that answers and does not know the job has been started since.
            is_unknown_job = error.code() in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.NOT_FOUND)
            return PipelineState.FAILED if is_unknown_job else PipelineState.UNKNOWN
    return beam_job_api_pb2.JobState.Enum.Name(state)


def _how_to_end(job: str, *, runner: str, options: PipelineOptions) -> str:
    """Says where to watch a job and how to cancel it."""
    if runner != "DataflowRunner":
        return f"watch it or cancel it at its service, {options.view_as(PortableOptions).job_endpoint or runner}"
    cloud = options.view_as(GoogleCloudOptions)
    where = f"--project={cloud.project} --region={cloud.region}"
    if not job:
        return f"look for it with `gcloud dataflow jobs list --status=active {where}`"
    return (
        f"watch it at https://console.cloud.google.com/dataflow/jobs/{cloud.region}/{job}?project={cloud.project}, or "
        f"cancel it with `gcloud dataflow jobs cancel {job} {where}`"
    )
