"""Starts our Beam jobs, in the same way on this machine and elsewhere.

The flags choose the runner:

    (no flags)                                            threads of this process, one per core
    --direct_running_mode=multi_processing                worker processes, one per core; see `worker_processes`
    --runner=PortableRunner --job_endpoint=HOST:PORT      a Beam job service; `--environment_type` sets its workers
    --runner=DataflowRunner --project=... --region=...    Google Cloud; see deploy/dataflow
"""

import contextlib
import importlib.util
import io
import os
from collections.abc import Iterator, Sequence

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    PortableOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.runners.worker import sdk_worker
from apache_beam.utils import subprocess_server
from etils import epath

from beam_jobs import command_lines, remote_jobs, worker_code, worker_processes
from beam_jobs import google_path as google_path  # What is opened on buckets in workers.
from beam_jobs.remote_jobs import HandedOverError, StillRunningError
from beam_jobs.worker_code import OtherCodeError
from beam_jobs.worker_processes import WorkerDiedError

__all__ = [
    "HandedOverError",
    "OptionsError",
    "OtherCodeError",
    "StillRunningError",
    "WorkerDiedError",
    "check_free",
    "pipeline",
    "run",
    "workers",
]

# A worker in a thread prints the traceback of what a step raises, and logs it as well. The log is enough: a full disk
# is reported in one sentence, and a bug with a traceback of its own.
sdk_worker.print = lambda *arguments, **options: None

_LOCAL_RUNNERS = (None, "DirectRunner", "FnApiRunner")


class OptionsError(ValueError):
    """Beam's flags are wrong. The message is one sentence."""


def pipeline(beam_args: Sequence[str] = ()) -> beam.Pipeline:
    """Returns a Beam pipeline; add a job to it, and give it to `run`.

    Args:
        beam_args: Beam's own flags, see above. Without a `--runner` the job runs on all cores of this machine, by
            default in threads. Decoding, resampling and FFTs release the interpreter lock; on 2 cores, threads were
            faster than worker processes, each of which first has to import TensorFlow.

    Raises:
        OptionsError: Beam does not accept the flags, has no such flag, or the runner is not installed.
    """
    with _options_errors(beam_args):
        created = beam.Pipeline(options=_parse(beam_args))
        if type(created.runner).__name__ == "DataflowRunner" and not importlib.util.find_spec("apitools"):
            install = command_lines.make("install-gcp") or command_lines.pip_install("apache-beam[gcp]")
            raise ImportError(f"DataflowRunner needs Beam's Google Cloud extra: {install}")
        _check_job_service(created.options)
        return created


def run(pipeline: beam.Pipeline, *, work_dir: epath.PathLike) -> None:
    """Runs the job of a pipeline to its end. If this process is interrupted, the job is canceled.

    Args:
        pipeline: See `pipeline`.
        work_dir: A folder of the job, in which a note names the job while it runs on another machine.

    Raises:
        StillRunningError: A job of an earlier run with this folder may still be running on another machine.
        HandedOverError: Dataflow starts the job later, from its graph; see `remote_jobs.run`.
        OtherCodeError: The workers run other code, or another Python, than this machine.
        WorkerDiedError: A worker process of this machine has died.
    """
    check_free(work_dir)
    is_local = pipeline.options.view_as(StandardOptions).runner in _LOCAL_RUNNERS
    try:
        with subprocess_server.SubprocessServer.cache_subprocesses(), worker_processes.deaths_named():
            if is_local:
                pipeline.run().wait_until_finish()
            else:
                remote_jobs.run(pipeline, work_dir=epath.Path(work_dir))
    except Exception as error:
        other_code = worker_code.named(error, is_local=is_local)
        if other_code is not None:
            raise other_code from error
        raise


def check_free(work_dir: epath.PathLike) -> None:
    """Checks that no job of an earlier run is writing into a folder. Call it before a change of what a job has there.

    Whatever the flags are now: the earlier run may have had others.

    Raises:
        StillRunningError: A job of an earlier run with this folder may still be running on another machine.
    """
    remote_jobs.check_free(epath.Path(work_dir))


def workers(beam_args: Sequence[str] = ()) -> int:
    """Returns the largest number of workers of a job with these flags: machines on Dataflow, else threads or processes.

    Raises:
        OptionsError: see `pipeline`.
    """
    with _options_errors(beam_args):
        options = _parse(beam_args)
    if options.view_as(StandardOptions).runner in _LOCAL_RUNNERS:
        return options.view_as(DirectOptions).direct_num_workers or _cores()
    machines = options.view_as(WorkerOptions)
    return machines.max_num_workers or machines.num_workers or _cores()


def _parse(beam_args: Sequence[str]) -> PipelineOptions:
    options = PipelineOptions(list(beam_args))
    # Beam parses some flags lazily. This parses all of them now, so that a wrong value is reported before the job runs.
    known = options.get_all_options()
    # Only for a job service, unknown flags are accepted, because the service may have flags of its own.
    if not options.view_as(PortableOptions).job_endpoint:
        unknown = sorted(options.get_all_options(retain_unknown_options=True).keys() - known.keys())
        if unknown:
            raise ValueError(f"there is no flag --{unknown[0]}")
    if options.view_as(StandardOptions).runner in _LOCAL_RUNNERS:
        # Set by name because DirectRunner would first try to download Beam's Go runner.
        options.view_as(StandardOptions).runner = "FnApiRunner"
        direct = options.view_as(DirectOptions)
        if not _has_flag("--direct_running_mode", beam_args):
            direct.direct_running_mode = "multi_threading"
        if not _has_flag("--direct_num_workers", beam_args) and direct.direct_running_mode != "in_memory":
            direct.direct_num_workers = _cores()
    return options


def _check_job_service(options: PipelineOptions) -> None:
    """Checks that the job service answers, if there is one; Beam itself would wait for it silently."""
    portable = options.view_as(PortableOptions)
    if portable.job_endpoint in (None, "embed"):
        return
    with grpc.insecure_channel(portable.job_endpoint) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=portable.job_server_timeout)
        except grpc.FutureTimeoutError:
            raise ValueError(f"no job service answers at {portable.job_endpoint}") from None
    # Beam would also take it for the longest time of a job, and give up one that takes longer.
    portable.job_server_timeout = None


def _has_flag(flag: str, beam_args: Sequence[str]) -> bool:
    return any(arg.partition("=")[0] == flag for arg in beam_args)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def _options_errors(beam_args: Sequence[str]) -> Iterator[None]:
    """Raises the errors of Beam's flags as an OptionsError, and keeps argparse's usage message off stderr."""
    stderr = io.StringIO()
    try:
        with contextlib.redirect_stderr(stderr):
            yield
    except SystemExit as error:  # argparse prints its usage, then the error, and exits.
        raise _options_error(beam_args, stderr.getvalue().rpartition("error: ")[2]) from error
    except (ValueError, ImportError) as error:
        raise _options_error(beam_args, str(error)) from error


def _options_error(beam_args: Sequence[str], reason: str) -> OptionsError:
    return OptionsError(f"Beam does not accept {' '.join(beam_args)!r}: {' '.join(reason.split())}")
