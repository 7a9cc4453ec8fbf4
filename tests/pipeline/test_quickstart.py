import json

import pytest

from pipeline import cli

pytestmark = pytest.mark.slow


def _run(root):
    assert cli.main(["run", "--preset", "quickstart", "--root", str(root)]) == 0
    return json.loads((root / "report.json").read_text())


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("quickstart") / "root"


@pytest.fixture(scope="module")
def report(root):
    return _run(root)


def test_every_stage_runs_and_the_embedding_beats_the_classical_baseline(report):
    assert {row["outcome"] for row in report["stages"]} == {"ran"}
    scores = report["evaluation"]["scores"]
    assert scores["both"] > scores["mfcc_mean_std"] + 0.2


@pytest.mark.xfail(
    strict=False,
    reason="The quickstart's recipe trains the log-mel encoder but not the waveform encoder. The README shows it: both "
    "together score 0.892, untrained 0.872.",
)
def test_the_quickstart_learns(report):
    scores = report["evaluation"]["scores"]
    assert scores["both"] > scores["untrained/both"] + 0.03


def test_a_second_run_skips_everything(root, report, capsys):
    again = _run(root)
    assert {row["outcome"] for row in again["stages"]} == {"skipped"}
    assert all(row["why"].startswith("nothing changed since") for row in again["stages"])
    assert again["evaluation"] == report["evaluation"]
    assert capsys.readouterr().out.count("\n") > 20
