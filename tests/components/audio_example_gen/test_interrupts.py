"""Ctrl-C during the Beam job."""

import os
import pathlib
import signal
import subprocess
import sys
import time

from tests import corpora
from tests.processes import wait_until

ROOT = pathlib.Path(__file__).parents[3]


def test_interrupt_ends_the_job_soon_and_nothing_is_published(tmp_path):
    """One clip is a named pipe without a writer, so the job is waiting for it when the signal arrives."""
    source = corpora.esc50(tmp_path / "esc", clips=6)
    blocked = next((source / "audio").iterdir())
    blocked.unlink()
    os.mkfifo(blocked)
    command = [sys.executable, "-m", "tests.components.audio_example_gen.program", source, tmp_path / "run"]
    process = subprocess.Popen([*command, "--shards=2"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: list((tmp_path / "run" / "work").glob("*.writing")))
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert "KeyboardInterrupt" in messages
    assert not list((tmp_path / "run" / "outputs" / "examples").iterdir())
