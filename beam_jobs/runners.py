"""How our Beam jobs are started, the same on this machine and elsewhere.

(no flags)                                            threads of this process, one a core
--direct_running_mode=multi_processing                worker processes, one a core
--runner=PortableRunner --job_endpoint=HOST:PORT      a Beam job service, with workers by `--environment_type`
--runner=DataflowRunner --project=... --region=...    Google Cloud; deploy/dataflow says how
"""

import contextlib
import importlib.util
import io
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

_LOCAL = (None, "DirectRunner", "FnApiRunner")


class OptionsError(ValueError):
    """What is wrong with Beam's flags, in one sentence."""


def pipeline(beam_args: Sequence[str] = ()) -> "beam.Pipeline":
    """A Beam pipeline to be used in a `with` statement, which runs it to its end.

    Args:
        beam_args: Beam's own flags, as above. Without a `--runner` the job runs on all cores of this machine, by
            default in threads: decoding, resampling and FFTs let go of the interpreter lock, and measured on 2 cores
            threads beat worker processes, each of which first has to import TensorFlow.

    Raises:
        OptionsError: Beam does not accept the flags, has no such flag, or the runner is not installed.
    """
    import apache_beam as beam

    with _one_sentence(beam_args):
        made = beam.Pipeline(options=_options(beam_args))
        if type(made.runner).__name__ == "DataflowRunner" and not importlib.util.find_spec("apitools"):
            raise ImportError("DataflowRunner needs Beam's Google Cloud extra: make install-gcp")
        _check_job_service(made.options)
        return made


def workers(beam_args: Sequence[str] = ()) -> int:
    """How many workers a job with these flags has at most: machines on Dataflow, else threads or processes.

    Raises:
        OptionsError: as `pipeline` does.
    """
    from apache_beam.options.pipeline_options import DirectOptions, StandardOptions, WorkerOptions

    with _one_sentence(beam_args):
        options = _options(beam_args)
    if options.view_as(StandardOptions).runner in _LOCAL:
        return options.view_as(DirectOptions).direct_num_workers or _cores()
    machines = options.view_as(WorkerOptions)
    return machines.max_num_workers or machines.num_workers or _cores()


def _options(beam_args: Sequence[str]) -> "PipelineOptions":
    from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, PortableOptions, StandardOptions

    options = PipelineOptions(list(beam_args))
    known = options.get_all_options()  # else some are parsed only when the job runs
    if not options.view_as(PortableOptions).job_endpoint:  # a job service may have flags of its own
        unknown = sorted(options.get_all_options(retain_unknown_options=True).keys() - known.keys())
        if unknown:
            raise ValueError(f"there is no flag --{unknown[0]}")
    if options.view_as(StandardOptions).runner in _LOCAL:
        # By name, because DirectRunner would try to download Beam's Go runner first.
        options.view_as(StandardOptions).runner = "FnApiRunner"
        direct = options.view_as(DirectOptions)
        if not _given("--direct_running_mode", beam_args):
            direct.direct_running_mode = "multi_threading"
        if not _given("--direct_num_workers", beam_args) and direct.direct_running_mode != "in_memory":
            direct.direct_num_workers = _cores()
    return options


def _check_job_service(options: "PipelineOptions") -> None:
    from apache_beam.options.pipeline_options import PortableOptions

    portable = options.view_as(PortableOptions)
    if portable.job_endpoint in (None, "embed"):
        return
    import grpc

    with grpc.insecure_channel(portable.job_endpoint) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=portable.job_server_timeout)
        except grpc.FutureTimeoutError:
            raise ValueError(f"no job service answers at {portable.job_endpoint}") from None


def _given(flag: str, beam_args: Sequence[str]) -> bool:
    return any(arg.partition("=")[0] == flag for arg in beam_args)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def _one_sentence(beam_args: Sequence[str]) -> Iterator[None]:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # argparse prints its usage before it exits
            yield
    except (ValueError, ImportError, SystemExit) as error:
        reason = said.getvalue().rpartition("error: ")[2] if isinstance(error, SystemExit) else str(error)
        raise OptionsError(f"Beam does not accept {' '.join(beam_args)!r}: {' '.join(reason.split())}") from error
