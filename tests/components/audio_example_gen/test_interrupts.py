"""Ctrl-C during the Beam job."""

import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests import corpora
from tests.processes import in_session, wait_until

ROOT = pathlib.Path(__file__).parents[3]


@pytest.mark.parametrize(
    "beam_args", [(), pytest.param(("--direct_running_mode=multi_processing",), marks=pytest.mark.slow)], ids=str
)
def test_interrupt_ends_the_job_and_its_processes_soon_and_nothing_is_published(tmp_path, beam_args):
    """One clip is half a day of silence, so the job is waiting for it when the signal arrives."""
    source = corpora.esc50(tmp_path / "esc", clips=6)
    blocked = next((source / "audio").iterdir())
    corpora.write_silence(blocked, hours=12)
    command = [sys.executable, "-m", "tests.components.audio_example_gen.program", source, tmp_path / "run"]
    command += ["--shards=2", *beam_args]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
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
    wait_until(lambda: not in_session(process.pid), seconds=20)
