import json

import pytest

from pipeline import cli


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_quickstart_learns_and_a_second_run_skips_everything(tmp_path, capsys):
    arguments = ["run", "--preset", "quickstart", "--root", str(tmp_path / "root")]
    assert cli.main(arguments) == 0
    report = json.loads((tmp_path / "root" / "report.json").read_text())
    assert {row["outcome"] for row in report["stages"]} == {"ran"}
    scores = report["evaluation"]["scores"]
    assert scores["both"] > scores["untrained/both"] + 0.03
    assert scores["both"] > scores["mfcc_mean_std"] + 0.2
    assert capsys.readouterr().out.count("\n") > 20

    assert cli.main(arguments) == 0
    again = json.loads((tmp_path / "root" / "report.json").read_text())
    assert {row["outcome"] for row in again["stages"]} == {"skipped"}
    assert all(row["why"].startswith("nothing changed since") for row in again["stages"])
    assert again["evaluation"] == report["evaluation"]
