"""Worker processes that die. What starts a worker is a command of a shell; here it ends before it begins to work."""

import errno
import sys
import types

import apache_beam as beam
import pytest
from apache_beam.runners.portability import local_job_service

from beam_jobs import runners
from components import passing_errors
from components.errors import UserError

PROCESS = ("--direct_running_mode=multi_processing", "--direct_num_workers=1")


@pytest.mark.parametrize(
    ("command", "how"),
    [
        ("kill -KILL $$;", r"was killed \(Killed\)"),
        ("sh -c 'kill -SEGV $$'; exit $?;", r"was killed \(Segmentation fault\)"),
        ("exit 3;", "has ended with exit status 3"),
        ("exit 0;", "has ended with exit status 0"),
        ("exit 255;", "has ended with exit status 255"),
    ],
)
def test_a_job_whose_worker_dies_fails_with_one_sentence(monkeypatch, tmp_path, command, how):
    monkeypatch.setattr(sys, "executable", command)
    _run(tmp_path, how)


@pytest.mark.parametrize(
    ("error", "how"),
    [
        (OSError(errno.ENOMEM, "Cannot allocate memory"), r"could not run \(\[Errno 12\] Cannot allocate memory\)"),
        (RuntimeError("Failed to bind to address [::]:0"), r"could not run \(Failed to bind to address \[::\]:0\)"),
    ],
)
def test_a_job_whose_worker_does_not_start_fails_with_one_sentence(monkeypatch, tmp_path, error, how):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(local_job_service, "subprocess", types.SimpleNamespace(Popen=fail))
    _run(tmp_path, how)


def _run(folder, how):
    """Runs a job, which fails because of its worker."""
    pipeline = runners.pipeline(PROCESS)
    _ = pipeline | beam.Create([1]) | beam.Map(print)
    with pytest.raises(runners.WorkerDiedError, match=f"^a worker process of the Beam job {how}: run .*$"):
        runners.run(pipeline, work_dir=folder)


def test_another_try_may_help():
    with pytest.raises(UserError) as caught:
        raise UserError("the sentence") from runners.WorkerDiedError("the sentence")
    assert passing_errors.may_pass(caught.value)
