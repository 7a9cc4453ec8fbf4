"""keep_training.sh against a stand-in of gcloud that plays a life of TPUs, one answer after the other."""

import shutil
import subprocess

import pytest

from tests.deploy import files

# Each call of gcloud that asks takes the next line of its file of answers; all calls are recorded. The file `training`
# holds the generation of training.json, which changes when a training finishes.
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
    *"objects list"*training.json*)
        [[ $(next bucket) != lost ]] || exit 1
        cat "$folder/training"
        ;;
    *"objects list"*dataset_info.json*) cat "$folder/examples" ;;
    *"storage cat"*) cat "$folder/finished.txt" ;;
    *"storage cp"*) cat >"$folder/finished.txt" ;;
    *pgrep*)
        echo "${@: -1}" >"$folder/question"
        answer=$(next processes) || exit 255
        [[ $answer != lost ]] || exit 255
        [[ $answer != finishes ]] || echo "1$(cat "$folder/training")" >"$folder/training"
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
    """Runs the script among given answers, and returns what it did and the process. The bucket stays between calls."""
    files.program(tmp_path, "gcloud", STUB)
    files.program(tmp_path, "git", "")
    clone = files.clone(tmp_path)
    for name, content in {"training": "", "examples": "1\n"}.items():
        (tmp_path / name).write_text(content)

    def run(*arguments, states, processes=(), connections=(), bucket=(), attempts=5, deploy=clone):
        lives = {"states": states, "processes": processes, "connections": connections, "bucket": bucket}
        for name, answers in {**lives, "calls": ()}.items():
            (tmp_path / name).write_text("".join(f"{answer}\n" for answer in answers))
        options = (*files.TRAINING, "--spot", "--poll=0", f"--attempts={attempts}", *arguments)
        done = files.run("tpu/keep_training.sh", *options, path=tmp_path, deploy=deploy, timeout=120)
        return (tmp_path / "calls").read_text().split(), done

    return run


# Asked before the deletion of an earlier TPU and before the request; while it is made; twice while it trains; when it
# is deleted.
LIFE = ("GONE", "GONE", "ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE")
TRAINED = ["create", "train", "delete"]


def test_a_training_that_ends_is_followed_by_the_deletion_of_its_tpu(keep):
    states = ["GONE", "GONE", "WAITING_FOR_RESOURCES", "ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE"]
    calls, done = keep(states=states, processes=["runs", "finishes"])
    assert done.returncode == 0, done.stderr
    assert calls == TRAINED
    assert "the training is finished: gs://my-bucket/base/model" in done.stdout
    assert "delete.sh" not in done.stderr


def test_a_tpu_that_is_taken_away_is_made_again(keep):
    calls, done = keep(
        states=["GONE", "GONE", "ACTIVE", "ACTIVE", "SUSPENDED", "SUSPENDED", "SUSPENDED", *LIFE[1:]],
        processes=["runs", "runs", "finishes"],
    )
    assert done.returncode == 0, done.stderr
    assert calls == ["create", "train", "delete", "create", "train", "delete"]


def test_a_machine_that_does_not_answer_once_still_trains(keep):
    calls, done = keep(states=[*LIFE, "ACTIVE"], processes=["lost", "runs", "finishes"])
    assert done.returncode == 0, done.stderr
    assert calls == TRAINED


def test_a_training_that_fails_by_itself_costs_no_second_tpu(keep):
    calls, done = keep(states=LIFE, processes=["ended"])
    assert done.returncode == 2
    assert calls == TRAINED
    assert "trainer.steps=0 is wrong" in done.stdout
    assert "has failed by itself" in done.stderr


def test_it_gives_up_after_some_attempts_and_leaves_no_request(keep):
    calls, done = keep(states=["GONE", "GONE", "FAILED", "FAILED", "FAILED", "GONE", *["FAILED"] * 3], attempts=2)
    assert done.returncode == 2
    assert calls == ["create", "delete", "create", "delete"]
    assert "no training could be started, with 2 TPUs" in done.stderr
    assert "checkpoints" not in done.stderr
    states = ["GONE", "GONE", "ACTIVE", "ACTIVE", "SUSPENDED", "SUSPENDED"]
    calls, done = keep(states=states, processes=["runs"], attempts=1)
    assert done.returncode == 2
    assert "not finished after 1 TPUs: its checkpoints are in gs://my-bucket/base\n" in done.stderr


def test_a_training_that_is_finished_gets_no_tpu(keep):
    assert keep(states=LIFE, processes=["runs", "finishes"])[0] == TRAINED
    for same in ((), ("--type=v3-32", "--name=other", "--output=gs://my-bucket/base/")):
        calls, done = keep(*same, states=["GONE"])
        assert done.returncode == 0, done.stderr
        assert calls == []
        assert "the training is finished" in done.stdout


@pytest.mark.parametrize(
    "other", ["--fields=trainer.steps=800000", "--preset=small", "--examples=gs://my-bucket/other"]
)
def test_another_training_than_the_finished_one_is_trained(keep, other):
    assert keep(states=LIFE, processes=["runs", "finishes"])[0] == TRAINED
    calls, done = keep(other, states=LIFE, processes=["ended"])
    assert calls == TRAINED
    assert "has failed by itself" in done.stderr
    assert "is finished" not in done.stdout
    calls, done = keep(other, states=LIFE, processes=["runs", "finishes"])
    assert (calls, done.returncode) == (TRAINED, 0)
    calls, done = keep(other, states=["GONE"])
    assert (calls, done.returncode) == ([], 0)


@pytest.mark.parametrize(("name", "content"), [("training", ""), ("training", "7\n"), ("finished.txt", "")])
def test_a_model_that_was_removed_or_trained_by_hand_is_not_the_finished_one(keep, tmp_path, name, content):
    assert keep(states=LIFE, processes=["runs", "finishes"])[0] == TRAINED
    (tmp_path / name).write_text(content)
    assert keep(states=LIFE, processes=["runs", "finishes"])[0] == TRAINED


def test_google_not_answering_for_once_says_nothing_about_the_training(keep):
    calls, done = keep(
        states=["lost", "GONE", "GONE", "lost", *["ACTIVE"] * 2, "lost", "lost", *["ACTIVE"] * 3, "lost", "ACTIVE"],
        processes=["runs", "runs", "finishes"],
        bucket=["", "lost", "", "lost"],
    )
    assert done.returncode == 0, done.stderr
    assert calls == TRAINED


def test_a_bucket_that_cannot_be_asked_costs_no_tpu(keep):
    calls, done = keep(states=LIFE, bucket=["lost"])
    assert (done.returncode, calls) == (1, [])


def test_a_new_machine_may_refuse_connections_for_a_while(keep):
    calls, done = keep(
        states=LIFE,
        processes=["runs", "finishes"],
        connections=["no", "no", "yes", "no", "yes", "no", "yes"],  # copying; installing; starting
    )
    assert done.returncode == 0, done.stderr
    assert calls == TRAINED


def test_a_machine_that_refuses_all_connections_costs_no_second_tpu(keep):
    calls, done = keep(states=LIFE, connections=["no"] * 20)
    assert done.returncode == 2
    assert calls == ["create", "delete"]
    assert "cannot be installed or started" in done.stderr
    assert "delete.sh" not in done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        *("--output=/home/me/base", "--examples=/home/me/examples", "--type=v3", "--preset=nonsense"),
        *("--fields=nonsense=1", "--fields=trainer.steps=many", "--fields=trainer.steps", "--fields=--help"),
        *("--poll=often", "--attempts=many", "--attempts=0", "--hourly_cost=much", "--stall_alarm=late"),
    ],
)
def test_wrong_values_are_found_before_a_tpu_is_asked_for(keep, wrong):
    calls, done = keep(wrong, states=LIFE, deploy=files.DEPLOY)
    assert (calls, done.returncode, done.stdout) == ([], 2, "")
    assert wrong in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("diptych", "refuses"),
    [
        ("echo 'diptych: no such field.' >&2; exit 2", False),  # It refuses everything, as without its packages.
        ('[[ $* != *steps=7* ]] || { echo "a warning" >&2; echo "diptych: too few." >&2; exit 2; }', True),
    ],
)
def test_a_diptych_on_the_path_is_asked_and_believed_if_it_works(keep, tmp_path, diptych, refuses):
    files.program(tmp_path, "diptych", diptych)
    calls, done = keep("--fields=trainer.steps=7", states=LIFE, processes=["runs", "finishes"])
    assert calls == ([] if refuses else TRAINED)
    assert done.stderr == ("train.sh: --preset=base --fields=trainer.steps=7: diptych: too few.\n" if refuses else "")


def test_examples_that_are_not_there_cost_no_tpu(keep, tmp_path):
    (tmp_path / "examples").write_text("")
    calls, done = keep(states=LIFE)
    assert (calls, done.returncode) == ([], 2)
    assert "there is no dataset_info.json in --examples=gs://my-bucket/examples" in done.stderr
    files.program(tmp_path, "gcloud", STUB.replace('cat "$folder/examples"', "exit 1"))  # No rights to look.
    assert keep(states=LIFE, processes=["runs", "finishes"])[0] == TRAINED


def test_the_question_whether_it_trains_finds_a_training_and_not_itself(keep, tmp_path):
    keep(states=LIFE, processes=["ended"])
    question = (tmp_path / "question").read_text().strip().removeprefix("--command=")
    assert "iptych train'" in question
    question = question.replace("iptych train", f"iptych train {tmp_path}")  # Others may train on this machine.

    def answer():
        return subprocess.run(["bash", "-c", question], capture_output=True, text=True).stdout.strip()

    assert answer() == "ended"
    with subprocess.Popen(["bash", "-c", f"read; : diptych train {tmp_path}"], stdin=subprocess.PIPE):
        assert answer() == ""
    assert answer() == "ended"


@pytest.mark.slow
def test_gcloud_asks_and_writes_the_bucket(keep, buckets, monkeypatch, tmp_path):
    gcloud = shutil.which("gcloud")
    if not gcloud:
        pytest.skip("gcloud is not installed")
    for name, value in {
        "API_ENDPOINT_OVERRIDES_STORAGE": f"{buckets.environment['STORAGE_EMULATOR_HOST']}/storage/v1/",
        "AUTH_DISABLE_CREDENTIALS": "true",
        "CONFIG": str(tmp_path / "gcloud-config"),
    }.items():
        monkeypatch.setenv(f"CLOUDSDK_{name}", value)
    model = f"echo {{}} | {gcloud} storage cp - gs://bucket/base/model/training.json"
    stub = STUB.replace('echo "1$(cat "$folder/training")" >"$folder/training"', model)
    files.program(tmp_path, "gcloud", f'[[ $1 != storage ]] || exec {gcloud} "$@"\n{stub}')
    place = ("--examples=gs://bucket/examples", "--output=gs://bucket/base")
    calls, done = keep(*place, states=LIFE)
    assert (calls, done.returncode) == ([], 2)
    assert "there is no dataset_info.json" in done.stderr
    command = [gcloud, "storage", "cp", "-", "gs://bucket/examples/dataset_info.json"]
    subprocess.run(command, input="{}", text=True, check=True, capture_output=True)
    for arguments in ((), ("--fields=trainer.steps=800000",)):
        assert keep(*place, *arguments, states=LIFE, processes=["runs", "finishes"])[0] == TRAINED
        calls, done = keep(*place, *arguments, states=["GONE"])
        assert (calls, done.returncode) == ([], 0), done.stderr
