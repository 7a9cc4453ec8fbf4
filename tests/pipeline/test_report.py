import io
import json

from etils import epath
from rich.console import Console

from pipeline import report
from pipeline.metadata import MetadataStore
from pipeline.root import Root
from tests.pipeline import stages

SCORES = {"waveform": 0.4, "log_mel": 0.5, "both": 0.6, "untrained/both": 0.3, "untrained/waveform": 0.2, "mfcc": 0.45}


def shown(result):
    out = io.StringIO()
    report.show(result, Console(file=out, width=100))
    return out.getvalue()


def test_report_of_a_run(tmp_path):
    stages.run(tmp_path, stages.build())
    stages.run(tmp_path, stages.build(numbers={"count": 4}), until_stage="Total")
    root = Root(epath.Path(tmp_path))
    store = MetadataStore(root.metadata_uri(), pipeline="test")
    first, second = (report.build(store, run, root=root) for run in store.runs())
    assert [row.outcome for row in first.stages] == ["ran"] * 4
    assert [row.outcome for row in second.stages] == ["ran", "not run", "ran", "not run"]
    assert second.stages[2].summary == "total 6, from step 0"
    assert json.loads(second.to_json())["stages"][0]["why"] == "config.count 3 -> 4"
    text = shown(second)
    assert "config.count 3 -> 4" in text
    assert "not run" in text
    assert f"tensorboard --logdir {tmp_path}/tensorboard" in text


def test_scores(tmp_path):
    result = report.Report(
        run="r",
        preset="p",
        started="",
        stages=(),
        evaluation={"probe": "linear", "metric": "accuracy", "scores": SCORES},
        saved_model="/m",
        tensorboard="tensorboard --logdir x",
    )
    lines = [line.split("│")[1:-1] for line in shown(result).splitlines() if "│" in line]
    rows = [[cell.strip() for cell in line] for line in lines if len(line) == 3]
    assert rows == [
        ["Embedding", "trained", "untrained"],
        ["waveform", "0.400", "0.200"],
        ["log_mel", "0.500", ""],
        ["both, concatenated", "0.600", "0.300"],
        ["MFCC mean+std", "", "0.450"],
    ]
    assert "linear probe, accuracy" in shown(result)
