"""keep_training.sh against a stand-in of gcloud that plays a life of TPUs, one answer after the other."""

import subprocess

import pytest

from tests.deploy import files

# Each call of gcloud that asks takes the next line of its file of answers; all calls are recorded.
STUB = """
folder=$(dirname "$0")
next() { [[ -s $folder/$1 ]] || exit 1; head -n 1 "$folder/$1"; sed -i 1d "$folder/$1"; }
connects() { local answer; answer=$(next connections) || answer=yes; [[ $answer == yes ]]; }
case "$*" in
    *"queued-resources describe"*)
        answer=$(next states)
        [[ $answer == [A-Z]* && $answer != GONE ]] || exit 1
        echo "$answer"
        ;;
    *"queued-resources list"*)
        answer=$(next states)
        [[ $answer != lost ]] || exit 1
        echo "${answer#GONE}"
        ;;
    *"storage ls"*) [[ $(next finished) == yes ]] ;;
    *pgrep*)
        echo "${@: -1}" >"$folder/question"
        answer=$(next processes) || exit 255
        [[ $answer != lost ]] || exit 255
        [[ $answer == runs ]] || echo ended
        ;;
    *" scp "* | *install.sh*) connects ;;
    *tail*) echo "diptych: trainer.steps=0 is wrong" ;;
    *"queued-resources create"*) echo create >>"$folder/calls" ;;
    *"queued-resources delete"*) echo delete >>"$folder/calls" ;;
    *"nohup"*) connects && echo train >>"$folder/calls" ;;
esac
"""


@pytest.fixture
def keep(tmp_path):
    """Runs the script among given answers, and returns what it did and the process."""

    def run(*, states, processes, finished, connections=(), attempts=5):
        files.program(tmp_path, "gcloud", STUB)
        files.program(tmp_path, "git", "")
        lives = {"states": states, "processes": processes, "finished": finished, "connections": connections}
        for name, answers in {**lives, "calls": ()}.items():
            (tmp_path / name).write_text("".join(f"{answer}\n" for answer in answers))
        options = (*files.TRAINING, "--spot", "--poll=0", f"--attempts={attempts}")
        done = files.run("tpu/keep_training.sh", *options, path=tmp_path, timeout=60)
        return (tmp_path / "calls").read_text().split(), done

    return run


def test_a_training_that_ends_is_followed_by_the_deletion_of_its_tpu(keep):
    calls, done = keep(
        # Before the start; while it is made; while it trains; when it is deleted.
        states=["GONE", "WAITING_FOR_RESOURCES", "ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE"],
        processes=["runs", "ended"],
        finished=["no", "yes"],
    )
    assert done.returncode == 0, done.stderr
    assert calls == ["create", "train", "delete"]
    assert "the training is finished: gs://my-bucket/base/model" in done.stdout


def test_a_tpu_that_is_taken_away_is_made_again(keep):
    calls, done = keep(
        states=["GONE", "ACTIVE", "ACTIVE", "SUSPENDED", "SUSPENDED", "SUSPENDED", "ACTIVE", "ACTIVE", "ACTIVE"],
        processes=["runs", "ended"],
        finished=["no", "no", "yes"],
    )
    assert done.returncode == 0, done.stderr
    assert calls == ["create", "train", "delete", "create", "train", "delete"]


def test_a_machine_that_does_not_answer_once_still_trains(keep):
    calls, done = keep(
        states=["GONE", "ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE"],
        processes=["lost", "runs", "ended"],
        finished=["no", "yes"],
    )
    assert done.returncode == 0, done.stderr
    assert calls == ["create", "train", "delete"]


def test_a_training_that_fails_by_itself_costs_no_second_tpu(keep):
    calls, done = keep(
        states=["GONE", "ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE"], processes=["ended"], finished=["no", "no"]
    )
    assert done.returncode == 2
    assert calls == ["create", "train", "delete"]
    assert "trainer.steps=0 is wrong" in done.stdout
    assert "has failed by itself" in done.stderr


def test_it_gives_up_after_some_attempts(keep):
    calls, done = keep(
        states=["GONE", "FAILED", "FAILED", "FAILED", "FAILED", "FAILED"], processes=[], finished=["no"] * 9, attempts=2
    )
    assert done.returncode == 2
    assert calls == ["create", "delete", "create"]
    assert "not finished after 2 TPUs" in done.stderr


def test_a_training_that_is_finished_gets_no_tpu(keep):
    calls, done = keep(states=["GONE"], processes=[], finished=["yes"])
    assert done.returncode == 0, done.stderr
    assert calls == []


def test_google_not_answering_for_once_says_nothing_about_the_training(keep):
    calls, done = keep(
        states=["GONE", "lost", "ACTIVE", "ACTIVE", "lost", "lost", "ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE"],
        processes=["runs", "runs", "ended"],
        finished=["no", "yes"],
    )
    assert done.returncode == 0, done.stderr
    assert calls == ["create", "train", "delete"]


def test_a_new_machine_may_refuse_connections_for_a_while(keep):
    calls, done = keep(
        states=["GONE", "ACTIVE", "ACTIVE", "ACTIVE"],
        processes=["ended"],
        finished=["no", "yes"],
        connections=["no", "no", "yes", "no", "yes", "no", "yes"],  # copying; installing; starting
    )
    assert done.returncode == 0, done.stderr
    assert calls == ["create", "train", "delete"]


def test_a_machine_that_refuses_all_connections_costs_no_second_tpu(keep):
    calls, done = keep(
        states=["GONE", "ACTIVE", "ACTIVE", "ACTIVE"], processes=[], finished=["no"], connections=["no"] * 20
    )
    assert done.returncode == 2
    assert calls == ["create", "delete"]
    assert "cannot be installed or started" in done.stderr


def test_the_question_whether_it_trains_finds_a_training_and_not_itself(keep, tmp_path):
    keep(states=["GONE", "ACTIVE", "ACTIVE"], processes=["ended"], finished=["no", "yes"])
    question = (tmp_path / "question").read_text().strip().removeprefix("--command=")
    assert "iptych train'" in question
    question = question.replace("iptych train", f"iptych train {tmp_path}")  # Others may train on this machine.

    def answer():
        return subprocess.run(["bash", "-c", question], capture_output=True, text=True).stdout.strip()

    assert answer() == "ended"
    with subprocess.Popen(["bash", "-c", f"read; : diptych train {tmp_path}"], stdin=subprocess.PIPE):
        assert answer() == ""
    assert answer() == "ended"


def test_deletion_takes_only_an_empty_list_for_no_tpu(tmp_path):
    files.program(tmp_path, "gcloud", '[[ $* == *" list "* ]] || exit 1')
    done = files.run("tpu/delete.sh", *files.TPU, path=tmp_path)
    assert (done.returncode, done.stdout) == (0, "there is no TPU diptych\n")
    files.program(tmp_path, "gcloud", "echo no network >&2; exit 1")
    done = files.run("tpu/delete.sh", *files.TPU, path=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "no network\n")
