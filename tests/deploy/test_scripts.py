"""The shell scripts of deploy/. The commands that they print are parsed by the real gcloud, where it is installed."""

import os
import shlex
import shutil
import subprocess

import pytest

from pipeline import cli
from tests.deploy import files

NAMES = sorted(files.OPTIONS)


def test_every_script_is_run_here():
    by_themselves = {"script.sh", "tpu/shared.sh", "tpu/install.sh"}  # sourced by the others; run on the TPU
    scripts = {file.relative_to(files.DEPLOY).as_posix() for file in files.SCRIPTS}
    assert scripts == by_themselves | set(NAMES)


@pytest.mark.parametrize("file", files.SCRIPTS, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_shellcheck_finds_nothing(file):
    command = [files.linter("shellcheck"), "--external-sources", "--source-path=SCRIPTDIR", file]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_a_dry_run_changes_nothing(name, tmp_path):
    for program in ("gcloud", "docker", "diptych", "git"):
        files.program(tmp_path, program, f'echo {program} "$@" >>{tmp_path}/calls')
    done = files.run(name, *files.OPTIONS[name], "--dry_run", path=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "\n+ " in f"\n{done.stdout}"
    calls = (tmp_path / "calls").read_text().splitlines() if (tmp_path / "calls").exists() else []
    assert not [call for call in calls if not call.startswith("diptych config ")]  # It only looks.


@pytest.mark.parametrize("name", NAMES)
def test_help_names_every_option(name):
    text = (files.DEPLOY / name).read_text()
    done = files.run(name, "--help")
    assert done.returncode == 0
    declared = [line for line in text.partition("parse_options")[0].splitlines() if "=(" in line or line[:4] == "    "]
    options = {word.partition("]")[0] for line in declared for word in line.split("[")[1:]}
    own = done.stdout
    if "options of create.sh and of train.sh" in own:
        own += "".join(files.run(f"tpu/{other}.sh", "--help").stdout for other in ("create", "train"))
    assert options
    assert not [option for option in options if f"--{option}" not in own]


@pytest.mark.parametrize("name", NAMES)
def test_wrong_options_are_one_sentence(name):
    for argument in ("--nothing=1", "--nothing", "nothing", "--project"):
        done = files.run(name, *files.OPTIONS[name], argument, "--dry_run")
        assert (done.returncode, done.stdout) == (2, "")
        assert argument.partition("=")[0] in done.stderr
        assert done.stderr.count("\n") == 1
    done = files.run(name)
    assert done.returncode == 2
    assert "is missing" in done.stderr


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("dataflow/setup.sh", "--launcher=me"),
        ("dataflow/launch.sh", "--data=/home/me/audioset"),
        ("dataflow/launch.sh", "--max_workers=many"),
        ("dataflow/launch.sh", "--with=hope"),
        ("tpu/create.sh", "--type=v3"),
        ("tpu/create.sh", "--poll=often"),
        ("tpu/train.sh", "--output=/home/me/base"),
        ("tpu/train.sh", "--type=v3"),
        ("tpu/train.sh", "--preset=nonsense"),
        ("tpu/train.sh", "--fields=trainer.steps"),
        ("tpu/train.sh", "--fields=nonsense=1"),
        ("tpu/train.sh", "--hourly_cost=much"),
    ],
)
def test_wrong_values_are_one_sentence(name, wrong):
    done = files.run(name, *files.OPTIONS[name], wrong, "--dry_run")
    assert (done.returncode, done.stdout) == (2, "")
    assert wrong in done.stderr


def test_fields_may_hold_commas():
    changed = "exporter.formats=[litert,onnx];trainer.steps=10"
    (launch,) = files.dry_run("dataflow/launch.sh", f"--fields={changed}")
    assert launch[-4:-2] == changed.split(";")
    (template,) = files.dry_run("dataflow/launch.sh", "--with=template", f"--fields={changed}")
    assert template[-1].endswith(f"|fields={changed}")
    (train,) = files.dry_run("tpu/train.sh", f"--fields={changed}")
    assert "'exporter.formats=[litert,onnx]' 'trainer.steps=10'" in train[-1]


def test_costs_and_alarms_reach_the_command():
    wanted = ("--hourly_cost=8.5", "--stall_alarm=60")
    (launch,) = files.dry_run("dataflow/launch.sh", *wanted)
    flags = ["--stall-alarm=60", "--hourly-cost=AudioExampleGen=8.5", "--hourly-cost=StatisticsGen=8.5"]
    assert [word for word in launch if word in flags] == flags
    cli._parse(launch[1:])
    for name in ("tpu/train.sh", "tpu/keep_training.sh"):
        (train,) = [words for words in files.dry_run(name, *wanted) if "diptych train" in words[-1].replace("'", "")]
        assert "'--hourly-cost' '8.5' '--stall-alarm' '60'" in train[-1]
        words = shlex.split(train[-1].partition(" >>")[0])
        cli._parse(words[words.index("diptych/.venv/bin/diptych") + 1 :])
    done = files.run("dataflow/launch.sh", *files.LAUNCH, "--with=template", *wanted, "--dry_run")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_passwords_are_not_printed(tmp_path):
    files.program(tmp_path, "diptych", f'echo "$@" >{tmp_path}/calls')
    store = "--metadata=mysql://me:secret@db.example.com/diptych"
    done = files.run("dataflow/launch.sh", *files.LAUNCH, store, path=tmp_path)
    assert "--metadata=mysql://me:...@db.example.com/diptych" in done.stdout
    assert "secret" not in done.stdout
    assert store in (tmp_path / "calls").read_text()


@pytest.mark.parametrize(("own", "returncode"), [("3.11", 0), ("3.12", 2)])
def test_another_python_than_that_of_the_image_launches_nothing(tmp_path, own, returncode):
    python = files.program(tmp_path, "python3", f'[[ "$1" == -c ]] && echo {own} || echo "$@" >>{tmp_path}/calls')
    files.program(tmp_path, "diptych", "").write_text(f"#!{python}\n")
    done = files.run("dataflow/launch.sh", *files.LAUNCH, path=tmp_path)
    assert done.returncode == returncode, done.stderr
    assert (tmp_path / "calls").exists() == (returncode == 0)
    if returncode:
        assert "diptych runs Python 3.12, the workers 3.11" in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_bucket_that_exists_keeps_its_lifecycle(tmp_path):
    files.program(tmp_path, "gcloud", f'echo "$@" >>{tmp_path}/calls')
    deploy = tmp_path / "my clone" / "deploy"
    shutil.copytree(files.DEPLOY, deploy)
    command = ["dataflow/setup.sh", *files.OPTIONS["dataflow/setup.sh"]]
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "CDPATH": str(deploy)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=deploy, env=environment)
    assert done.returncode == 0, done.stderr
    assert "lifecycle" not in (tmp_path / "calls").read_text()
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("gs://my-bucket exists")]
    printed = shlex.split(line.partition("with ")[2])
    assert printed[:-1] == ["gcloud", "storage", "buckets", "update", "gs://my-bucket"]
    assert printed[-1] == f"--lifecycle-file={deploy / 'dataflow' / 'lifecycle.json'}"
    made = files.dry_run("dataflow/setup.sh")
    assert [command for command in made if "--lifecycle-file=" in command[-1]]


# What is not the default, and so not in the dry runs above.
VARIANTS = [
    *((name, ()) for name in NAMES),
    ("dataflow/launch.sh", ("--with=template",)),
    ("dataflow/launch.sh", ("--with=template", "--now", "--fields=a.b=1;c.d=[x,y]")),
    ("tpu/create.sh", ("--type=v3-32", "--spot", "--service_account=tpu@my-project.iam.gserviceaccount.com")),
    ("tpu/train.sh", ("--type=v3-32", "--fields=trainer.steps=10")),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
def test_gcloud_accepts_the_commands(name, arguments, tmp_path):
    """Without an account, gcloud checks a command as a whole, and then asks who runs it."""
    gcloud = shutil.which("gcloud")
    if not gcloud:
        pytest.skip("gcloud is not installed")
    environment = {**os.environ, "CLOUDSDK_CONFIG": str(tmp_path), "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}
    environment.pop("GOOGLE_APPLICATION_CREDENTIALS", None)
    for command in files.dry_run(name, *arguments):
        if command[0] != "gcloud" or command[1] == "auth":
            continue
        done = subprocess.run([gcloud, *command[1:]], capture_output=True, text=True, env=environment, timeout=120)
        assert done.returncode
        assert "You do not currently have an active account selected" in done.stderr, (command, done.stderr)
