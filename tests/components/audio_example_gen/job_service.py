"""Beam's local job service. It starts its own workers, which share nothing with the process that launches a job."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[3]


@contextlib.contextmanager
def running(folder: pathlib.Path, *, code: pathlib.Path = ROOT) -> Iterator[tuple[str, ...]]:
    """Runs the service in a process of its own while the block runs.

    Args:
        folder: Gets the file `log` with the output of the service and its workers.
        code: The folder of the packages that the workers import.

    Yields:
        Beam's flags for a job on this service.
    """
    port_file = folder / "port"
    command = ["apache_beam.runners.portability.local_job_service_main", "--port_file", str(port_file)]
    with _started(folder, *command, "--staging_dir", str(folder / "staging"), code=code) as service:
        yield (
            *_flags(service, folder),
            "--environment_type=beam:env:harness_subprocess_python:v1",
            f"--environment_config={sys.executable} -m apache_beam.runners.worker.sdk_worker_main",
        )


@contextlib.contextmanager
def spread(folder: pathlib.Path, *, workers: int) -> Iterator[tuple[tuple[str, ...], list[int]]]:
    """Runs a service that gives a job several workers at once, each at a loopback address of its own.

    Args:
        folder: Gets the file `log` with the output of the service, and a folder for each pool of workers.
        workers: Number of pools, each of which starts one worker for a job.

    Yields:
        Beam's flags for a job on this service, and the ids of the processes that start the workers.
    """
    module = "tests.components.audio_example_gen.spread_service"
    with contextlib.ExitStack() as stack:
        addresses, pids = [], []
        for number in range(1, workers + 1):
            place = folder / f"pool{number}"
            place.mkdir()
            port = _free_port()
            pool = _started(place, "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}")
            pids.append(stack.enter_context(pool).pid)
            addresses.append(f"127.0.0.{number}:{port}")
        service = stack.enter_context(_started(folder, module, str(folder / "port"), str(folder / "staging")))
        external = ("--environment_type=EXTERNAL", f"--environment_config={','.join(addresses)}")
        yield (*_flags(service, folder), *external), pids


@contextlib.contextmanager
def _started(folder: pathlib.Path, *module: str, code: pathlib.Path = ROOT) -> Iterator[subprocess.Popen]:
    """Runs a module with its arguments in a process of its own while the block runs."""
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=folder,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(code)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def _flags(service: subprocess.Popen, folder: pathlib.Path) -> tuple[str, ...]:
    """Waits until a service has written its port, and returns the flags that lead to it."""
    port_file = folder / "port"
    while not port_file.exists():
        assert service.poll() is None, (folder / "log").read_text()
        time.sleep(0.1)
    return "--runner=PortableRunner", f"--job_endpoint=localhost:{port_file.read_text()}"


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]
