"""The files of deploy/, and how its scripts are run in tests."""

import json
import os
import pathlib
import re
import shlex
import shutil
import stat
import subprocess
import sys

from tests.benchmarks.docs import ROOT

DEPLOY = ROOT / "deploy"
SCRIPTS = sorted(DEPLOY.rglob("*.sh"))
DOCKERFILES = sorted(DEPLOY.rglob("Dockerfile"))
MANIFESTS = sorted(DEPLOY.rglob("kubernetes/*.yaml"))

# What each script needs, so that a dry run comes to its end.
PLACE = ("--project=my-project",)
BUCKET = (*PLACE, "--bucket=my-bucket")
TPU = (*PLACE, "--zone=europe-west4-a")
TRAINING = (*TPU, "--examples=gs://my-bucket/examples", "--output=gs://my-bucket/base")
LAUNCH = (*BUCKET, "--tag=1", "--data=gs://my-bucket/audioset")
OPTIONS = {
    "dataflow/setup.sh": (*BUCKET, "--launcher=user:me@example.com"),
    "dataflow/build.sh": (*BUCKET, "--tag=1"),
    "dataflow/launch.sh": LAUNCH,
    "tpu/create.sh": TPU,
    "tpu/train.sh": TRAINING,
    "tpu/keep_training.sh": TRAINING,
    "tpu/delete.sh": TPU,
}


def linter(name):
    """Returns the path of a program that the extra `dev` installs, beside this Python if that is not on the path."""
    found = shutil.which(name, path=f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}")
    assert found, f"{name} is in the extra dev"
    return found


def run(name, *arguments, path=None, deploy=DEPLOY, **options):
    """Runs a script of deploy/, with a folder of programs first on its path."""
    environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"} if path else None
    return subprocess.run([deploy / name, *arguments], capture_output=True, text=True, env=environment, **options)


def clone(folder):
    """Returns deploy/ of a clone that holds the scripts for TPUs and no Diptych: that on the path is a stand-in."""
    program(folder, "diptych", "")
    deploy = folder / "my clone" / "deploy"
    shutil.copytree(DEPLOY / "tpu", deploy / "tpu")
    shutil.copy(DEPLOY / "script.sh", deploy)
    return deploy


def dry_run(name, *arguments):
    """Returns the commands that a script would run, each as a list of words."""
    done = run(name, *OPTIONS[name], *arguments, "--dry_run")
    assert done.returncode == 0, done.stderr
    return [shlex.split(line)[1:] for line in done.stdout.splitlines() if line.startswith("+ ")]


def dataflow_flags(*arguments):
    """Returns Beam's flags of the ingest job that launch.sh starts."""
    (command,) = dry_run("dataflow/launch.sh", *arguments)
    (flags,) = (word for word in command if word.startswith("audio_example_gen.beam_args="))
    return json.loads(flags.partition("=")[2])


def program(folder, name, text):
    """Writes a shell script that stands in for a program."""
    file = folder / name
    file.write_text(f"#!/usr/bin/env bash\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


def instructions(dockerfile):
    """Returns the instructions of a Dockerfile as pairs of name and text, with continued lines joined."""
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE)).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line]
