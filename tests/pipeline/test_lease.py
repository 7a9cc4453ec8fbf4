import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest
from etils import epath

from components.errors import UserError
from pipeline import lease
from pipeline.metadata.executions import State
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root
from tests import leases
from tests.bucket import Bucket
from tests.pipeline.runner import stages
from tests.processes import wait_until

REPOSITORY = pathlib.Path(__file__).parents[2]
ROOT = "gs://bucket/root"


class Other:
    """A run of another process under `ROOT`."""

    def __init__(self, folder, *, seconds):
        self.folder = folder
        self.lease = folder / "buckets" / "bucket" / "root" / ".lease"
        command = [sys.executable, "-m", "tests.pipeline.runner.program", ROOT, "--seconds", str(seconds)]
        command += ["--bucket", str(folder / "buckets"), "--metadata", str(folder / "metadata.sqlite")]
        self.process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)

    def wait_until_training(self):
        wait_until(lambda: list((self.folder / "buckets" / "bucket" / "root" / "work" / "Total").glob("*/step")))

    def change_lease(self, **fields):
        changed = self.lease.with_suffix(".new")
        changed.write_text(json.dumps({**json.loads(self.lease.read_text()), **fields}))
        os.replace(changed, self.lease)


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Returns a function that starts another run. This process sees the same buckets."""
    leases.hurry(monkeypatch)
    (tmp_path / "buckets").mkdir()
    Bucket(tmp_path / "buckets").install(monkeypatch)
    others = []

    def start_another(seconds):
        others.append(Other(tmp_path, seconds=seconds))
        return others[-1]

    yield start_another
    for other in others:
        other.process.kill()
        other.process.wait()


def run_here(tmp_path, *, seconds=0.0):
    return stages.run(ROOT, stages.build(total={"seconds": seconds}), metadata=str(tmp_path / "metadata.sqlite"))


@pytest.mark.slow
def test_a_second_run_of_a_remote_root_harms_nothing(start, tmp_path):
    other = start(seconds=3)
    other.wait_until_training()
    with pytest.raises(UserError, match="Another diptych run"):
        run_here(tmp_path)
    assert other.process.wait(60) == 0
    assert not other.lease.exists()
    assert {execution.state for execution in run_here(tmp_path, seconds=3.0).values()} == {State.CACHED}


def test_a_second_run_is_refused_until_the_lease_of_a_killed_one_expires_and_sweeps_its_execution(start, tmp_path):
    other = start(seconds=30)
    other.wait_until_training()
    assert Root(epath.Path(ROOT)).is_locked()
    with pytest.raises(
        UserError, match=rf"Another diptych run \(process {other.process.pid} on .*\) is using gs://bucket"
    ):
        run_here(tmp_path)
    other.process.kill()
    other.process.wait()
    with pytest.raises(UserError, match=r"if it was killed, gs://bucket/root is free in \d s"):
        run_here(tmp_path)
    other.change_lease(renewed_s=time.time() - lease.EXPIRES_S)
    done = run_here(tmp_path)
    assert done["Numbers"].state == State.CACHED
    assert done["Total"].why == "interrupted last time, and config.seconds 30.0 -> 0.0"
    store = MetadataStore(str(tmp_path / "metadata.sqlite"), pipeline="test", root=epath.Path(ROOT))
    swept, finished = store.executions(stage="Total")
    assert (swept.state, swept.summary, finished.state) == (State.CANCELED, "killed", State.COMPLETE)
    assert not epath.Path(f"{ROOT}/artifacts/Total/model/{swept.id}").exists()


@pytest.mark.parametrize("way", ["taken over", pytest.param("suspended", marks=pytest.mark.slow)])
def test_a_run_that_loses_its_lease_stops_in_one_sentence(start, tmp_path, way):
    other = start(seconds=30)
    other.wait_until_training()
    if way == "suspended":
        other.process.send_signal(signal.SIGSTOP)
        time.sleep(lease.EXPIRES_S + 0.5)
        done = run_here(tmp_path)
        other.process.send_signal(signal.SIGCONT)
        reason = "its lease gs://bucket/root/.lease was removed"
        assert done["Total"].state == State.COMPLETE
    else:
        other.change_lease(owner="another", pid=7, host="elsewhere")
        reason = "another (process 7 on elsewhere) has taken it over"
    assert other.process.wait(30) == 143
    assert (
        f"This run no longer holds gs://bucket/root, because {reason}: nothing incomplete was published; run the same "
        "command again when no other run uses it."
    ) in other.process.stdout.read()


@pytest.mark.usefixtures("start")
def test_a_renewal_that_ends_after_the_release_is_no_loss(monkeypatch):
    lost, released = [], threading.Event()
    held = lease.Lease(epath.Path(ROOT), flag="--root", on_loss=lost.append)

    def renew():
        assert released.wait(10)
        return "its lease was removed"

    monkeypatch.setattr(held, "_renew", renew)
    held.take()
    time.sleep(2 * lease.RENEW_S)
    held.release()
    released.set()
    held._thread.join()
    assert not lost


def test_the_lease_of_a_dead_process_of_this_machine_is_taken_at_once():
    ended = subprocess.Popen(["true"])
    ended.wait()
    holder = lease.Holder.this_process()
    dead = lease.Holder.from_bytes(json.dumps({**vars(holder), "owner": "another", "pid": ended.pid}).encode())
    alive = lease.Holder.from_bytes(json.dumps({**vars(holder), "owner": "another", "pid": os.getppid()}).encode())
    assert dead.has_expired()
    assert not alive.has_expired()
    assert not holder.has_expired()
