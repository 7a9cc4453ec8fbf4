"""Runs a Beam job on a service elsewhere, which goes on when this process ends.

The job is canceled when this process is interrupted. A note in the work folder names the job while it may be running,
so that the same command does not start a second one beside it.
"""

import contextlib
import dataclasses
import http.client
import json
import socket
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
_ASK_S = 30.0
_SERVER_ERROR = 500
_UNANSWERED = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.CANCELLED,
    }
)
_NETWORK_PACKAGES = frozenset({"requests", "urllib3", "httplib2"})


class StillRunningError(Exception):
    """A job of an earlier run may still be running. The message is one sentence."""


class HandedOverError(StillRunningError):
    """The job of this run goes on without it: its graph is written, and Dataflow starts it from there."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Note:
    """The content of the note: which job may be running, and where to ask for it.

    Attributes:
        runner: Class of Beam's runner.
        job: Id of the job, or "" while it is being started.
        endpoint: HOST:PORT of the job service, or "embed" for one inside the process.
        project: Google Cloud's project.
        region: Google Cloud's region.
    """

    runner: str = "unknown runner"
    job: str = ""
    endpoint: str = ""
    project: str = ""
    region: str = ""

    @classmethod
    def read(cls, file: epath.Path) -> "Note":
        """Reads a note. One that was damaged, e.g. by a power cut, still says that there was a job."""
        try:
            return cls(**json.loads(file.read_text()))
        except (ValueError, TypeError):
            return cls()

    def write(self, file: epath.Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        storage.write_text(file, json.dumps(dataclasses.asdict(self)))


def run(pipeline: beam.Pipeline, *, work_dir: epath.Path) -> None:
    """Runs a job to its end. Call `check_free` before.

    Args:
        pipeline: The job.
        work_dir: The folder of the note.

    Raises:
        HandedOverError: The flags have a `--template_location`, as those of a flex template do.
    """
    cloud = pipeline.options.view_as(GoogleCloudOptions)
    note = Note(
        runner=type(pipeline.runner).__name__,
        endpoint=pipeline.options.view_as(PortableOptions).job_endpoint or "",
        project=cloud.project or "",
        region=cloud.region or "",
    )
    file = work_dir / NOTE
    note.write(file)
    try:
        result = pipeline.run()
    except Exception as error:
        if _may_have_started(error):
            logging.warning("the job may have started: %s", _how_to_end(note))
        else:
            file.unlink(missing_ok=True)
        raise
    except BaseException:
        logging.warning("the job may have started: %s", _how_to_end(note))
        raise
    if cloud.template_location:
        raise HandedOverError(
            f"the job is handed over to Dataflow as {cloud.template_location}: once it has ended, remove {file} and "
            "run the same command without --template_location, which publishes what the job wrote"
        )
    note = dataclasses.replace(note, job=_job_id(result))
    note.write(file)
    with _canceling(result, file=file, note=note):
        _wait(result)


def check_free(work_dir: epath.Path) -> None:
    """Checks that no earlier job may still be writing into a folder, and removes the note of one that has ended.

    Raises:
        StillRunningError: One may.
    """
    file = work_dir / NOTE
    if not file.exists():
        return
    note = Note.read(file)
    if PipelineState.is_terminal(_state(note)):
        file.unlink(missing_ok=True)
        return
    name = f"job {note.job}" if note.job else "a job"
    raise StillRunningError(
        f"{name} of an earlier run ({note.runner}) may still be writing into {work_dir}: {_how_to_end(note)}; once it "
        f"has ended, remove {file} and run the same command"
    )


def _may_have_started(error: BaseException) -> bool:
    """Returns whether an error may be that of a request whose answer was lost: a second job would write as well."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        link = link.__cause__ or link.__context__
    if any(isinstance(link, ConnectionRefusedError | socket.gaierror) for link in links):
        return False  # Nothing was sent.
    statuses = [link.status_code for link in links if isinstance(getattr(link, "status_code", None), int)]
    if statuses:  # Google's services have answered.
        return statuses[0] >= _SERVER_ERROR
    return any(map(_is_of_network, links))


def _is_of_network(error: BaseException) -> bool:
    if isinstance(error, grpc.RpcError):
        return not isinstance(error, grpc.Call) or error.code() in _UNANSWERED
    if isinstance(error, ConnectionError | TimeoutError | http.client.HTTPException):
        return True
    return type(error).__module__.partition(".")[0] in _NETWORK_PACKAGES


@contextlib.contextmanager
def _canceling(result: PipelineResult, *, file: epath.Path, note: Note) -> Iterator[None]:
    """Cancels the job if the block raises and the job has not ended, and removes the note of a job that has ended."""
    try:
        yield
    except BaseException:
        try:
            state = _cancel(result)
        except BaseException as error:  # Also a second Ctrl-C. The first one is raised in any case.
            state = f"{type(error).__name__}: {error}"
        if PipelineState.is_terminal(state):
            file.unlink(missing_ok=True)
        else:
            logging.warning("job %s could not be canceled so far (%s): %s", note.job, state, _how_to_end(note))
        raise
    file.unlink(missing_ok=True)


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


def _state(note: Note) -> str:
    """Asks where the job was started for its state; UNKNOWN if that cannot be asked, for whatever reason."""
    if note.endpoint == "embed":
        return PipelineState.FAILED  # Its service has ended with the process.
    if not note.job:
        return PipelineState.UNKNOWN
    try:
        if note.runner == "DataflowRunner":
            return _dataflow_state(note)
        return _service_state(note) if note.endpoint else PipelineState.UNKNOWN
    except Exception as error:  # Each client raises errors of its own types.
        logging.warning("the state of job %s cannot be asked for: %s: %s", note.job, type(error).__name__, error)
        return PipelineState.UNKNOWN


def _dataflow_state(note: Note) -> str:
    # Imported here because it needs Beam's Google Cloud extra.
    from apache_beam.runners.dataflow import dataflow_runner
    from apache_beam.runners.dataflow.internal import apiclient

    options = PipelineOptions([], project=note.project, region=note.region)
    found = apiclient.DataflowApplicationClient(options).get_job(note.job)
    return dataflow_runner.DataflowPipelineResult.api_jobstate_to_pipeline_state(found.currentState)


def _service_state(note: Note) -> str:
    with grpc.insecure_channel(note.endpoint) as channel:
        request = beam_job_api_pb2.GetJobStateRequest(job_id=note.job)
        try:
            state = beam_job_api_pb2_grpc.JobServiceStub(channel).GetState(request, timeout=_ASK_S).state
        except grpc.RpcError as error:
            # A service that answers and does not know the job has been started since.
            if error.code() in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.NOT_FOUND):
                return PipelineState.FAILED
            raise
    return beam_job_api_pb2.JobState.Enum.Name(state)


def _how_to_end(note: Note) -> str:
    """Says where to watch a job and how to cancel it."""
    if note.runner != "DataflowRunner":
        return f"watch it or cancel it at its service, {note.endpoint or note.runner}"
    where = f"--project={note.project} --region={note.region}"
    if not note.job:
        return f"look for it with `gcloud dataflow jobs list --status=active {where}`"
    return (
        f"watch it at https://console.cloud.google.com/dataflow/jobs/{note.region}/{note.job}?project={note.project}, "
        f"or cancel it with `gcloud dataflow jobs cancel {note.job} {where}`"
    )
