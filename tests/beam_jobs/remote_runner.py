"""A Beam runner that stands in for a service elsewhere: its jobs run until they are canceled or told to end.

`python -m tests.beam_jobs.remote_runner FOLDER [FLAG ...]` runs a job with the note in FOLDER, to be interrupted.
"""

import os
import pathlib
import signal
import sys
import time

import apache_beam as beam
from absl import logging
from apache_beam.runners import runner
from apache_beam.runners.runner import PipelineState

from beam_jobs import runners

FLAG = f"--runner={__name__ if __name__ != '__main__' else 'tests.beam_jobs.remote_runner'}.RemoteRunner"
FOLDER = pathlib.Path(os.environ.get("REMOTE_JOBS", "/nowhere"))  # Holds a file with the state of each job.


class RemoteResult(runner.PipelineResult):
    def __init__(self, job):
        super().__init__(PipelineState.RUNNING)
        self._job = job

    def job_id(self):
        return self._job

    @property
    def state(self):
        return (FOLDER / self._job).read_text()

    def wait_until_finish(self, duration=None):
        while not PipelineState.is_terminal(self.state):
            time.sleep(0.05)
        if self.state == PipelineState.FAILED:
            raise RuntimeError("the job failed")
        return self.state

    def cancel(self):
        if (FOLDER / "refuses").exists():
            raise OSError("503 Service Unavailable")
        (FOLDER / self._job).write_text(PipelineState.CANCELLED)
        return PipelineState.CANCELLED


class RemoteRunner(runner.PipelineRunner):
    def run_pipeline(self, pipeline, options):
        job = f"job{len(list(FOLDER.glob('job*')))}"
        (FOLDER / job).write_text(PipelineState.RUNNING)
        return RemoteResult(job)


if __name__ == "__main__":
    # A shell starts background processes with SIGINT ignored, and the tests may run in one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.use_absl_handler()
    pipeline = runners.pipeline(sys.argv[2:] or [FLAG])
    _ = pipeline | beam.Create([1])
    runners.run(pipeline, work_dir=sys.argv[1])
