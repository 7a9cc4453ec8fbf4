import json

import pytest

from pipeline import cli
from tests import corpora
from tests.components.trainer import training
from tests.corpora import ODD_NAME


@pytest.mark.slow
def test_the_data_and_the_root_may_have_any_name(tmp_path, capsys):
    data, root = tmp_path / ODD_NAME / "data", tmp_path / ODD_NAME / "root"
    rows = ["path,labels"]
    for i in range(40):
        corpora.write_tone(data / f"clip{i}.wav", seconds=1.0, hertz=(300.0, 900.0)[i % 2] + i)
        rows.append(f"clip{i}.wav,{'ab'[i % 2]}")
    (data / "manifest.csv").write_text("\n".join(rows) + "\n")
    fields = {**training.TINY, "batch_size": 8, "steps": 6, "log_every": 2, "eval_every": 3, "checkpoint_every": 2}
    overrides = [f"trainer.{name}={value}" for name, value in fields.items()]
    overrides.append("trainer.model.widths.waveform=null")
    command = ["run", "--preset", "tiny", f"--data={data}", f"--root={root}", *overrides, "evaluator.mlp_epochs=1"]
    assert cli.main(command) == 0
    report = json.loads((root / "report.json").read_text())
    assert (tmp_path / report["saved_model"] / "saved_model.pb").exists()
    checks = json.loads(next(root.glob("artifacts/Exporter/infra_blessing/*/infra_blessing.json")).read_text())
    assert all(check["passed"] for check in checks["checks"].values()), checks
    assert cli.main(command) == 0
    assert cli.main(["status", f"--root={root}"]) == 0
    capsys.readouterr()
