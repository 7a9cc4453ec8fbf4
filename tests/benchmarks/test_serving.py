"""The benchmark of `diptych serve` runs as a command, and measures what its page shows."""

import json
import subprocess
import sys

import pytest

from tests.benchmarks import docs, serving_table


@pytest.mark.slow
def test_the_benchmark_measures_all_that_its_page_shows(tmp_path):
    command = [sys.executable, "-m", "tests.benchmarks.serving", "--presets", "tiny", "--seconds", "2"]
    subprocess.run([*command, "--results", tmp_path], check=True, cwd=docs.ROOT)
    result = json.loads((tmp_path / "serving.json").read_text())
    lines = serving_table.render(result).splitlines()
    assert len([line for line in lines if line.startswith("| `tiny`")]) == 5
