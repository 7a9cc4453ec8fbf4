"""The SavedModel gives the same embeddings under other versions of TensorFlow, in environments made for that."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from components.exporter import infra_validator

# The oldest and the newest that have builds for the Pythons that Diptych runs on.
VERSIONS = {"the oldest": "tensorflow-cpu>=2.16,<2.17", "the newest": "tensorflow-cpu>=2.18"}


@pytest.fixture(scope="module", params=VERSIONS)
def other_python(request, tmp_path_factory):
    """The interpreter of an environment with TensorFlow and what it needs, and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    command = [python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", VERSIONS[request.param]]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    if installed.returncode:
        reason = (installed.stderr.strip().splitlines() or ["no reason given"])[-1]
        pytest.skip(f"pip cannot install {VERSIONS[request.param]} here: {reason}")
    return python


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_checks_pass(exported, other_python):
    model, run = exported
    audio = np.random.default_rng(0).uniform(-0.1, 0.1, (3, 9000)).astype(np.float32)
    blessing = infra_validator.validate(
        run.outputs["saved_model"], audio=audio, reference=model, tolerance=1e-4, python=pathlib.Path(other_python)
    )
    assert blessing.blessed, blessing.checks
