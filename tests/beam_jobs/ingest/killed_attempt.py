"""Ingests a source, and kills itself when the first file is written and its record is not."""

import os
import signal
import sys

from beam_jobs.ingest import records
from tests.beam_jobs.ingest import ingest_source


def _kill_this_process(*_args):
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    records.write = _kill_this_process
    ingest_source.ingest(sys.argv[1], sys.argv[2])
