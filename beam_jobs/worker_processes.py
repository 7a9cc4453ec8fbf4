"""Ends a job of this machine when one of its worker processes dies. Beam itself would wait for that worker forever.

Importing this module replaces what starts Beam's worker processes (`--direct_running_mode=multi_processing`).
"""

import contextlib
import logging as python_logging
import re
import signal
import threading
from collections.abc import Iterator

import grpc
from absl import logging
from apache_beam.portability import python_urns
from apache_beam.runners.portability import local_job_service
from apache_beam.runners.portability.fn_api_runner import fn_runner, worker_handlers
from apache_beam.runners.worker import data_plane

from beam_jobs import error_text

_AGAIN_S = 1.0
_SHELL_SIGNALS = 128  # The shell that starts a worker adds this to the number of the signal that killed it.

_ends: list[str] = []
"""How the workers that have died in the current job have ended."""


class WorkerDiedError(Exception):
    """A worker process has died, and the job has failed. The message is one sentence."""


@contextlib.contextmanager
def deaths_named() -> Iterator[None]:
    """Raises an error of the block as a WorkerDiedError if a worker process has died while it ran."""
    _ends.clear()
    try:
        with _lost_connections_quiet():
            yield
    except Exception as error:
        if not _ends:
            raise
        raise WorkerDiedError(
            f"a worker process of the Beam job {_ends[0]}: run the same command again, which goes on with what is "
            "finished; if memory has run out, with fewer workers (--direct_num_workers)"
        ) from error


@contextlib.contextmanager
def _lost_connections_quiet() -> Iterator[None]:
    """Keeps the tracebacks of Beam's threads that lose a worker off stderr. The job's own error is enough."""
    before = threading.excepthook

    def report(arguments: threading.ExceptHookArgs) -> None:
        if isinstance(arguments.exc_value, grpc.RpcError):
            logging.debug("the thread %s has lost its connection: %r", arguments.thread, arguments.exc_value)
        else:
            before(arguments)

    def is_other(record: python_logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], grpc.RpcError))

    threading.excepthook = report
    data_plane._LOGGER.addFilter(is_other)
    try:
        yield
    finally:
        data_plane._LOGGER.removeFilter(is_other)
        threading.excepthook = before


@worker_handlers.WorkerHandler.register_environment(python_urns.SUBPROCESS_SDK, bytes)
class WatchedWorker(worker_handlers.SubprocessSdkWorkerHandler):
    """Starts a worker process and, if it dies, makes the job fail. Beam does so for its containers alone."""

    def __init__(
        self,
        worker_command_line: bytes,
        state: worker_handlers.StateServicer,
        provision_info: fn_runner.ExtendedProvisionInfo,
        grpc_server: worker_handlers.GrpcServer,
    ):
        super().__init__(worker_command_line, state, provision_info, grpc_server)
        self._is_closing = threading.Event()

    def start_worker(self) -> None:
        self.worker = local_job_service.SubprocessSdkWorker(
            self._worker_command_line, self.control_address, self.provision_info, self.worker_id
        )
        self.worker_thread = threading.Thread(target=self._watch, name="run_worker", daemon=True)
        self.worker_thread.start()

    def close(self) -> None:
        self._is_closing.set()
        super().close()

    def _watch(self) -> None:
        """Waits for the end of the process. If that comes too early, gives up what all workers of the job do."""
        error = RuntimeError("exit status 0")
        try:
            self.worker.run()
        except Exception as raised:  # Whatever it is, nobody but this thread knows of it, and the job waits.
            error = raised
        if self._is_closing.is_set():
            return
        _ends.append(_how(error))
        for channel in list(self.data_plane_handler._connections_by_worker_id.values()):
            channel.close()
        while not self._is_closing.is_set():  # The job may be about to ask a worker for more.
            for connection in list(self.control_handler._connections_by_worker_id.values()):
                with contextlib.suppress(RuntimeError):  # It was just asked for more. The next round reaches that.
                    connection.abort(error)
            self._is_closing.wait(_AGAIN_S)


def _how(error: Exception) -> str:
    """Returns how a worker has ended, from Beam's message, which ends with the exit status of the shell."""
    found = re.search(r"(?:exit status|return code) (-?\d+)$", str(error))
    if not found:
        return f"could not run ({error_text.first_line(error)})"
    status = int(found[1])
    number = -status if status < 0 else status - _SHELL_SIGNALS
    if number in signal.valid_signals():
        return f"was killed ({signal.strsignal(number) or f'signal {number}'})"
    return f"has ended with exit status {status}"
