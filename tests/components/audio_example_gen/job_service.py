"""Beam's local job service. It starts its own workers, which share nothing with the process that launches a job."""

import contextlib
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[3]


@contextlib.contextmanager
def running(folder: pathlib.Path) -> Iterator[tuple[str, ...]]:
    """Runs the service in a process of its own while the block runs.

    Args:
        folder: Gets the file `log` with the output of the service and its workers.

    Yields:
        Beam's flags for a job on this service.
    """
    port_file = folder / "port"
    command = [sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main"]
    with (folder / "log").open("w") as log:
        service = subprocess.Popen(
            [*command, "--port_file", str(port_file), "--staging_dir", str(folder / "staging")],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            while not port_file.exists():
                assert service.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
            yield (
                "--runner=PortableRunner",
                f"--job_endpoint=localhost:{port_file.read_text()}",
                "--environment_type=beam:env:harness_subprocess_python:v1",
                f"--environment_config={sys.executable} -m apache_beam.runners.worker.sdk_worker_main",
            )
        finally:
            service.terminate()
            service.wait()
