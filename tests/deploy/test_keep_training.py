"""keep_training.sh against a stand-in of gcloud that plays a life of TPUs, one answer after the other."""

import pytest

from tests.deploy import files

# Each call of gcloud that asks takes the next line of its file of answers; all calls are recorded.
STUB = """
folder=$(dirname "$0")
next() { [[ -s $folder/$1 ]] || exit 1; head -n 1 "$folder/$1"; sed -i 1d "$folder/$1"; }
case "$*" in
    *"queued-resources describe"*) answer=$(next states) || exit 1; [[ $answer != GONE ]] || exit 1; echo "$answer" ;;
    *"storage ls"*) [[ $(next finished) == yes ]] ;;
    *pgrep*)
        answer=$(next processes) || exit 255
        [[ $answer != lost ]] || exit 255
        [[ $answer == runs ]] || echo ended
        ;;
    *tail*) echo "diptych: trainer.steps=0 is wrong" ;;
    *"queued-resources create"*) echo create >>"$folder/calls" ;;
    *"queued-resources delete"*) echo delete >>"$folder/calls" ;;
    *"nohup"*) echo train >>"$folder/calls" ;;
esac
"""


@pytest.fixture
def keep(tmp_path):
    """Runs the script among given answers, and returns what it did and the process."""

    def run(*, states, processes, finished, attempts=5):
        files.program(tmp_path, "gcloud", STUB)
        files.program(tmp_path, "git", "")
        for name, answers in (("states", states), ("processes", processes), ("finished", finished), ("calls", ())):
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
        finished=["yes"],
    )
    assert done.returncode == 0, done.stderr
    assert calls == ["create", "train", "delete"]
    assert "the training is finished: gs://my-bucket/base/model" in done.stdout


def test_a_tpu_that_is_taken_away_is_made_again(keep):
    calls, done = keep(
        states=["GONE", "ACTIVE", "ACTIVE", "SUSPENDED", "SUSPENDED", "SUSPENDED", "ACTIVE", "ACTIVE", "ACTIVE"],
        processes=["runs", "ended"],
        finished=["no", "yes"],
    )
    assert done.returncode == 0, done.stderr
    assert calls == ["create", "train", "delete", "create", "train", "delete"]


def test_a_machine_that_does_not_answer_once_still_trains(keep):
    calls, done = keep(
        states=["GONE", "ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE"],
        processes=["lost", "runs", "ended"],
        finished=["yes"],
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
