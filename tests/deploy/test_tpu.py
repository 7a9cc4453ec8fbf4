"""create.sh and delete.sh of TPUs against a stand-in of gcloud, and what is said of a TPU that is left."""

import contextlib
import os
import shlex
import signal
import subprocess
import time

import pytest

from tests.deploy import files

# The file `tpu` is there if the TPU is. Commands that hold a line of the file `failures` fail, that of `waits` waits.
STUB = """
folder=$(dirname "$0")
echo "$*" >>"$folder/calls"
if grep --quiet . "$folder/waits" && [[ "$*" == *"$(cat "$folder/waits")"* ]]; then
    : >"$folder/waiting"
    exec sleep 30
fi
while read -r failure; do
    [[ "$*" != *"$failure"* ]] || exit 7
done <"$folder/failures"
case "$*" in
    *"queued-resources list"*) [[ ! -f $folder/tpu ]] || echo ACTIVE ;;
    *"queued-resources describe"*) cat "$folder/tpu" ;;
    *"queued-resources create"*) echo "${STATE:-ACTIVE}" >"$folder/tpu" ;;
    *"queued-resources delete"*) rm "$folder/tpu" ;;
    *dataset_info.json*) echo 1 ;;
esac
"""


@pytest.fixture
def machine(tmp_path):
    """A folder with a stand-in of gcloud."""
    files.program(tmp_path, "gcloud", STUB)
    files.program(tmp_path, "git", "")
    files.clone(tmp_path)
    for name in ("failures", "waits", "calls"):
        (tmp_path / name).write_text("")
    return tmp_path


def run(machine, name, *arguments):
    deploy = machine / "my clone" / "deploy"
    return files.run(f"tpu/{name}.sh", *arguments, "--poll=0", path=machine, deploy=deploy, timeout=60)


def create(machine):
    return run(machine, "create", *files.TPU)


def deletes(machine, message, *, name):
    """Runs the command at the end of a message elsewhere, and returns whether it has deleted the TPU of this name."""
    (line,) = [line for line in message.splitlines() if "costs until it is deleted: " in line]
    command = shlex.split(line.partition("deleted: ")[2])
    assert command[1:] == [*files.TPU, f"--name={name}"]
    (machine / "failures").write_text("")
    (machine / "waits").write_text("")
    environment = {**os.environ, "PATH": f"{machine}:{os.environ['PATH']}"}
    subprocess.run(command, check=True, capture_output=True, cwd="/", env=environment)
    return not (machine / "tpu").exists()


def test_nothing_is_said_of_a_tpu_that_was_made(machine):
    done = create(machine)
    assert (done.returncode, done.stderr) == (0, "")
    assert (machine / "tpu").exists()


@pytest.mark.parametrize("failure", [" scp ", "install.sh diptych.tar.gz", " describe "])
def test_a_tpu_that_is_left_by_a_failure_is_named_and_is_taken_by_the_next_call(machine, failure):
    (machine / "failures").write_text(f"{failure}\n")
    done = create(machine)
    assert done.returncode == 7
    assert "create.sh: the TPU diptych exists, and costs until it is deleted: " in done.stderr
    (machine / "failures").write_text("")
    again = create(machine)
    assert (again.returncode, again.stderr) == (0, "")
    assert "the TPU diptych exists, or is asked for" in again.stdout
    calls = (machine / "calls").read_text()
    assert calls.count("queued-resources create") == 1
    assert "install.sh diptych.tar.gz" in calls
    assert deletes(machine, done.stderr, name="diptych")


def test_a_request_that_google_gave_up_is_named(machine, monkeypatch):
    monkeypatch.setenv("STATE", "FAILED")
    done = create(machine)
    assert done.returncode == 2
    assert "the request for the TPU diptych is FAILED" in done.stderr
    assert deletes(machine, done.stderr, name="diptych")


def test_a_request_that_google_refuses_leaves_no_tpu(machine):
    (machine / "failures").write_text("queued-resources create\n")
    done = create(machine)
    assert (done.returncode, done.stderr) == (7, "")


def test_a_request_of_which_nothing_is_known_is_named(machine):
    files.program(machine, "gcloud", STUB.replace('create"*) ', "create\"*) echo ' list ' >$folder/failures; exit 7; "))
    done = create(machine)
    assert done.returncode == 7
    assert "the TPU diptych may exist, and costs until it is deleted: " in done.stderr


def interrupted(machine, name, *arguments, sent):
    """Starts a script, sends it a signal while gcloud waits, as a terminal sends it, and returns what it says."""
    environment = {**os.environ, "PATH": f"{machine}:{os.environ['PATH']}"}
    process = subprocess.Popen(
        [machine / "my clone" / "deploy" / "tpu" / f"{name}.sh", *arguments, "--poll=0"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(sent, signal.SIG_DFL),  # Jobs in the background and nohup have some ignored.
    )
    try:
        while not (machine / "waiting").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        os.killpg(process.pid, sent)
        message = process.communicate(timeout=60)[1]
    finally:
        with contextlib.suppress(
            ProcessLookupError
        ):  # Or it would go on, with the real gcloud once the stand-in is gone.
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode
    return message


SIGNALS = pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


@SIGNALS
def test_interrupted_creation_says_how_to_delete_the_tpu(machine, sent):
    (machine / "waits").write_text(" describe ")
    message = interrupted(machine, "create", *files.TPU, sent=sent)
    assert deletes(machine, message, name="diptych")


@SIGNALS
@pytest.mark.parametrize("waits", [" describe ", " ssh ", "nohup", "pgrep"])
def test_interrupted_training_says_how_to_delete_the_tpu(machine, waits, sent):
    (machine / "waits").write_text(waits)
    message = interrupted(machine, "keep_training", *files.TRAINING, sent=sent)
    assert deletes(machine, message, name="diptych-spot")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGHUP])
def test_a_second_signal_does_not_cut_short_what_is_said(machine, sent):
    (machine / "waits").write_text(" describe ")
    files.program(machine, "basename", f'kill -{sent} 0; exec "$(type -aP basename | tail -n 1)" "$@"')
    message = interrupted(machine, "keep_training", *files.TRAINING, sent=sent)
    assert deletes(machine, message, name="diptych-spot")


def test_ctrl_c_is_no_failure_that_is_tried_again(machine):
    """gcloud ends by itself on it, with an ordinary exit status."""
    (machine / "waits").write_text(" scp ")
    files.program(machine, "gcloud", f"trap 'exit 1' INT\n{STUB.replace('exec sleep', 'sleep')}")
    interrupted(machine, "create", *files.TPU, sent=signal.SIGINT)
    assert (machine / "calls").read_text().count(" scp ") == 1


def test_a_tpu_that_cannot_be_deleted_is_named(machine):
    (machine / "failures").write_text("queued-resources delete\n")
    (machine / "tpu").write_text("ACTIVE\n")
    done = run(machine, "keep_training", *files.TRAINING)
    assert done.returncode == 7
    assert "the TPU diptych-spot may exist, and costs until it is deleted: " in done.stderr
    assert deletes(machine, done.stderr, name="diptych-spot")


def test_deletion_takes_only_an_empty_list_for_no_tpu(tmp_path):
    files.program(tmp_path, "gcloud", '[[ $* == *" list "* ]] || exit 1')
    done = files.run("tpu/delete.sh", *files.TPU, path=tmp_path)
    assert (done.returncode, done.stdout) == (0, "there is no TPU diptych\n")
    files.program(tmp_path, "gcloud", "echo no network >&2; exit 1")
    done = files.run("tpu/delete.sh", *files.TPU, path=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "no network\n")
