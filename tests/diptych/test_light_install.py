"""What works, and what is said, where only the requirements in setup.cfg are installed."""

import subprocess
import sys

import pytest

from tests import corpora
from tests.diptych import light

_EVERYTHING = """
import sys
import diptych
import beam_jobs.audio.decoder_process
assert "tensorflow" not in sys.modules
embedder = diptych.load(MODEL)
assert embedder.embed([0.1] * 9000, 16000).shape == (embedder.dim,)
assert embedder.embed_file(FILE).shape == (embedder.dim,)
assert embedder.embed_files([FILE]).shape == (1, embedder.dim)
import tensorflow as tf
model = diptych.load_model(MODEL)
assert diptych.get_scene_embeddings(tf.zeros((2, 9000)), model).shape == (2, embedder.dim)
for embed in (diptych.load, embedder.embed_file):
    try:
        embed("gs://bucket/a.wav")
    except diptych.DiptychError as error:
        print(error)
"""


def run(code, **values):
    code = "\n".join([*(f"{name} = {str(value)!r}" for name, value in values.items()), code])
    command = [sys.executable, "-m", "tests.diptych.light", code]
    return subprocess.run(command, cwd=light.ROOT, capture_output=True, text=True)


def test_sounds_are_embedded(exported, tmp_path):
    corpora.write_format(tmp_path / "a.m4a", seconds=1.0)
    done = run(_EVERYTHING, MODEL=exported, FILE=tmp_path / "a.m4a")
    assert done.returncode == 0, done.stderr
    of_model, of_file = done.stdout.splitlines()
    for sentence in (of_model, of_file):
        assert "gs://bucket/a.wav is not on this machine" in sentence
        assert "copy it here, or install Diptych with its extra `pipeline`" in sentence


@pytest.mark.parametrize("arguments", [[], ["embed", "--model", "m", "a.wav"]])
def test_the_command_says_what_to_install(arguments):
    code = f"import sys; sys.argv = ['diptych', *{arguments!r}]; from pipeline import command; command.main()"
    done = run(code)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("diptych: the command needs the package ")
    assert done.stderr.endswith(f"run `make install -C {light.ROOT}`, which sets up an environment of its own.\n")
    assert len(done.stderr.splitlines()) == 1


def test_the_command_says_so_also_if_the_package_is_needed_late():
    code = """
import sys
import pipeline.cli
def execute(arguments):
    import not_installed
pipeline.cli.COMMANDS["status"].execute = execute
sys.argv = ["diptych", "status"]
from pipeline import command
command.main()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=light.ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "needs the package not_installed" in done.stderr
    bug = code.replace("import not_installed", "import pipeline.not_written")
    done = subprocess.run([sys.executable, "-c", bug], cwd=light.ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_few_packages_are_required():
    names = [requirement.partition(">")[0] for requirement in light.requirements()]
    assert names == ["av", "numpy", "soundfile", "soxr", "tensorflow"]
