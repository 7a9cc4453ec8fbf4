"""`diptych evaluate` from a folder with a sub-folder for each class to the report."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from pipeline import cli
from tests import corpora
from tests.pipeline.refusals import refusal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """A folder of tones of three pitches, a sub-folder each, and a file that is no sound."""
    folder = tmp_path_factory.mktemp("sounds")
    for pitch, hertz in (("low", 150.0), ("middle & <b>", 900.0), ("high", 4000.0)):
        for i in range(12):
            corpora.write_tone(folder / pitch / f"{i}.wav", seconds=0.9, hertz=hertz * (1 + i / 60))
    (folder / "low" / "bad.wav").write_bytes(b"no sound")
    return folder


def arguments(model, sounds, output, *more):
    return ["evaluate", "--model", model, "--data", str(sounds), "--output", str(output), *more]


def outcomes(output):
    return {row["stage"]: row["outcome"] for row in json.loads((output / "report.json").read_text())["stages"]}


def test_one_command_gives_the_report_and_again_does_no_work(exported, sounds, tmp_path, capsys):
    output = tmp_path / "out"
    typed = arguments(exported, sounds, output, "--baseline", "random_projection", "--robustness")
    assert cli.main(typed) == 0
    printed = capsys.readouterr().out.replace("\n", "")
    assert printed.endswith(f"Report:      {output}/report.html  (open it in a browser)")
    metrics = json.loads((output / "metrics.json").read_text())
    assert (metrics["model"], metrics["data"], metrics["metric"]) == (exported, str(sounds), "accuracy")
    assert metrics["scores"].keys() == {"waveform", "log_mel", "both", "mfcc_mean_std", "random_projection"}
    assert 30 <= metrics["robustness"]["clips"] <= 36  # Those of the train split.
    page = (output / "report.html").read_text()
    assert "middle &amp; &lt;b&gt;" in page
    assert "<b>" not in page
    for part in ("accuracy", "Robustness", "Confusion", "1 quarantined"):
        assert part in page
    assert set(outcomes(output).values()) == {"ran"}
    before = {name: (output / name).read_bytes() for name in ("metrics.json", "report.html")}
    assert cli.main(typed) == 0
    assert set(outcomes(output).values()) == {"skipped"}
    assert json.loads((output / "metrics.json").read_text()) == json.loads(before["metrics.json"])
    times = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
    assert times.sub(b"", (output / "report.html").read_bytes()) == times.sub(b"", before["report.html"])


def test_a_killed_evaluation_is_continued(exported, sounds, tmp_path):
    output = tmp_path / "out"
    typed = arguments(exported, sounds, output)
    process = subprocess.Popen([sys.executable, "-m", "pipeline.cli", *typed], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("Embedder: runs"):
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not os.path.exists(output / "report.html")
    assert cli.main(typed) == 0
    assert outcomes(output)["AudioExampleGen"] == "skipped"
    assert os.path.exists(output / "report.html")


def test_without_labels_or_enough_of_them(exported, sounds, tmp_path, capsys):
    message = refusal(capsys, *arguments(exported, sounds / "low", tmp_path / "a"))
    assert f"--data {sounds}/low has no labels" in message
    assert not (tmp_path / "a").exists()
    assert "--output gs://a/b: the metadata" in refusal(capsys, *arguments(exported, sounds, "gs://a/b"))
    for name in ("a/1.wav", "b/2.wav"):
        corpora.write_tone(tmp_path / "few" / name)
    assert cli.main(arguments(exported, tmp_path / "few", tmp_path / "b")) == 0
    assert "Not probed: " in (tmp_path / "b" / "report.html").read_text()
