"""Installs the wheel into an environment of its own, with what setup.cfg requires and nothing else."""

import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from diptych import bundled
from tests import corpora
from tests.diptych import wheels

ROOT = pathlib.Path(__file__).parents[2]
LOCK = ROOT / "deploy" / "requirements.lock"
PACKAGES = ("beam_jobs", "components", "diptych", "models", "pipeline")

pytestmark = pytest.mark.slow


def run(*command, **options):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = list(map(str, command))
    return subprocess.run(command, capture_output=True, text=True, env=environment, **options)


def succeed(*command, **options):
    done = run(*command, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    source = tmp_path_factory.mktemp("source")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("README.md", "pyproject.toml", "setup.cfg"):
        shutil.copy(ROOT / file, source)
    built = source / "dist"
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    succeed(*pip, "--wheel-dir", built, source)
    (file,) = built.glob("diptych-*.whl")
    return file


@pytest.fixture(scope="session")
def environment(wheel, tmp_path_factory):
    """Makes an environment with the wheel, once for each choice of versions, and returns the folder of its commands."""

    folders = []

    @functools.cache
    def make(versions):
        folder = tmp_path_factory.mktemp("environment")
        folders.append(folder)
        wheels.unpacked("hearvalidator==2021.0.6", folder)  # Skips without a network.
        succeed(sys.executable, "-m", "venv", folder / "venv")
        binaries = folder / "venv" / "bin"
        constraint = ("--constraint", LOCK) if versions == "locked" else ()
        succeed(binaries / "pip", "install", "--quiet", *constraint, wheel)
        return binaries

    yield make
    for folder in folders:  # 2 GB each.
        shutil.rmtree(folder)


@pytest.fixture(params=["locked", "newest"])
def versions(request):
    """Whether the versions of the lock file are installed, or the newest that setup.cfg allows."""
    return request.param


@pytest.fixture
def binaries(environment, versions):
    return environment(versions)


@pytest.fixture
def workplace(exported, tmp_path):
    """A folder with what the pages name."""
    shutil.copytree(exported, tmp_path / "runs" / "tiny" / "artifacts" / "Exporter" / "saved_model" / "5")
    (tmp_path / "saved_model").symlink_to(tmp_path / "runs" / "tiny" / "artifacts" / "Exporter" / "saved_model")
    corpora.write_format(tmp_path / "rain.mp3", seconds=3.0)
    corpora.write_format(tmp_path / "wind.flac", seconds=1.0)
    return tmp_path


def python_blocks(text):
    return "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


def test_the_lines_of_the_readme_run(binaries, workplace, embedder):
    readme = (ROOT / "README.md").read_text()
    lines = python_blocks(readme[readme.index("### Use the embeddings") :].partition("\n### ")[0])
    assert "embedder.frames(" in lines
    check = "assert embedding.shape == (len(timestamps), embedder.dim)"
    succeed(binaries / "python", "-c", f"{lines}\n{check}", cwd=workplace)


def test_the_lines_of_the_page_run(binaries, workplace, embedder):
    before = """
import diptych, tensorflow as tf
embedder = diptych.load("saved_model")
paths = ["rain.mp3", "hail.mp3"]
audio = tf.zeros((2, 16000))
"""
    lines = python_blocks((ROOT / "diptych" / "README.md").read_text())
    check = "assert failed.keys() == {'hail.mp3'} and vectors.shape == (2, embedder.dim)"
    succeed(binaries / "python", "-c", f"{before}\n{lines}\n{check}", cwd=workplace)


def test_only_what_is_needed_is_installed(binaries, versions):
    succeed(binaries / "pip", "check")
    installed = succeed(binaries / "pip", "list", "--format", "freeze").lower()
    for name in ("apache-beam", "etils", "matplotlib", "pyarrow", "pydantic", "scikit-learn", "scipy"):
        assert f"\n{name}==" not in installed
    for name in ("soundfile", "soxr", "tensorflow"):
        version = re.search(rf"^{name}==(\S+)", LOCK.read_text(), re.MULTILINE)[1]
        is_locked = f"\n{name}=={version}\n" in installed
        assert is_locked or versions == "newest"


def test_the_command_says_what_to_install(binaries):
    for arguments in ([], ["--help"], ["run", "--preset", "quickstart"]):
        done = run(binaries / "diptych", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(r"diptych: the command needs the package \w+, .*\[pipeline\].*\n", done.stderr)


@pytest.mark.parametrize("name", bundled.names())
def test_bundled_models_are_installed(binaries, workplace, name):
    code = f"import diptych; print(diptych.load({name!r}).embed_file('rain.mp3').ndim)"
    assert succeed(binaries / "python", "-c", code, cwd=workplace) == "1\n"


def test_the_types_are_installed(binaries, tmp_path):
    file = "import diptych, pathlib; print((pathlib.Path(diptych.__file__).parent / 'py.typed').exists())"
    assert succeed(binaries / "python", "-c", file, cwd=tmp_path) == "True\n"
