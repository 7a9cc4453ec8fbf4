"""Components import neither TensorFlow nor Beam, so that `diptych --help` and a run that skips all stages are fast."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
HEAVY = ("apache_beam", "keras", "matplotlib", "numpy", "scipy", "sklearn", "soundfile", "tensorflow")


def test_the_data_stages_are_light_until_they_are_executed():
    command = [sys.executable, "-m", "tests.components.light_stages", *HEAVY]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
