import io
import json
import time

import pytest
from etils import epath
from rich.cells import cell_len
from rich.console import Console

from pipeline.console import report
from pipeline.metadata.executions import CacheKey, Execution, Run, State
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root
from tests.pipeline.runner import stages

SCORES = {
    "waveform": 0.4,
    "log_mel": 0.5,
    "both": 0.6,
    "untrained/both": 0.3,
    "untrained/waveform": 0.2,
    "mfcc_mean_std": 0.45,
}


def shown(result, *, width=100):
    """Returns a report as it is printed."""
    out = io.StringIO()
    report.show(result, Console(file=out, width=width))
    return out.getvalue()


def test_the_report_of_a_run_has_a_row_per_stage(tmp_path):
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


def test_a_stage_of_a_killed_run_is_shown_as_stopped(tmp_path):
    root = Root(epath.Path(tmp_path))
    store = MetadataStore(root.metadata_uri(), pipeline="test")
    run = Run(name="r", stages=("Total",))
    store.start_run(run)
    key = CacheKey(stage="Total", version=1, libraries={}, config={}, inputs={}, external={})
    store.put(Execution(cache_key=key, state=State.RUNNING), run=run)
    assert report.build(store, run, root=root).stages[0].outcome == "running"
    assert not root.is_locked()
    killed = report.build(store, run, root=root, is_live=root.is_locked())
    assert (killed.stages[0].outcome, killed.stages[0].summary) == ("stopped", "killed")


def test_a_report_says_when_the_run_started(tmp_path):
    stages.run(tmp_path, stages.build())
    root = Root(epath.Path(tmp_path))
    store = MetadataStore(root.metadata_uri(), pipeline="test")
    run = Run(name="r", stages=())
    store.start_run(run)
    started_ms = run.started_ms
    assert abs(started_ms - store.runs()[-1].started_ms) < 1000
    run.started_ms = started_ms - 3_600_000
    started = time.mktime(time.strptime(report.build(store, run, root=root).started, "%Y-%m-%dT%H:%M:%S"))
    assert started == (started_ms - 3_600_000) // 1000


def test_the_score_table_orders_formats_combinations_and_baselines(tmp_path):
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


SUMMARY = "mlp probe mAP: waveform 0.123, 鳥の声 0.456, untrained/log_mel 0.789; NOT blessed [because]"
WHY = "config.trainer.model.augment_b.frequency_shift 20 -> 40, components/evaluator/probes/linear.py changed"


def long_report():
    """A report with long texts, wide characters and square brackets, which are markup to the library."""
    row = report.StageRow(stage="Evaluator", outcome="failed", seconds=43321, summary=SUMMARY, why=WHY)
    other = report.StageRow(stage="SyntheticAudioGen", outcome="not run")
    return report.Report(
        run="20261125-225158-91f1",
        preset="quickstart",
        started="",
        stages=(row, other),
        evaluation={"probe": "linear", "metric": "accuracy", "scores": SCORES},
        saved_model="",
        tensorboard="",
    )


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 120])
def test_a_report_can_be_read_at_any_width(width):
    lines = shown(long_report(), width=width).splitlines()[:-1]
    assert max(map(cell_len, lines)) <= width
    text = "".join("".join(lines).split())
    assert "…" not in text
    for piece in ("Evaluator", "failed", "SyntheticAudioGen", "12h02min", "0.400", "0.450", "20261125-225158-91f1"):
        assert piece in text
    # The column of results, or the paragraphs, hold every character of the texts in their order.
    results = "".join(line.split("│")[-2] if "│" in line else line for line in lines)
    results = "".join(results.split())
    for sentence in (SUMMARY, WHY):
        assert "".join(sentence.split()) in results


@pytest.mark.parametrize("width", [20, 60])
def test_a_narrow_report_has_no_column_of_a_few_letters(width):
    lines = [line.split("│") for line in shown(long_report(), width=width).splitlines() if "│" in line]
    assert all(len(line) == 5 for line in lines), "only the table of scores, which has three columns"
    stages = [line.rstrip() for line in shown(long_report(), width=60).splitlines()]
    assert stages[4:6] == ["Evaluator: failed, 12 h 02 min", "  mlp probe mAP: waveform 0.123, 鳥の声 0.456,"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"scores": 3}'])
def test_scores_in_a_damaged_file_are_left_out_of_the_report(tmp_path, content):
    (tmp_path / "metrics.json").write_text(content)
    assert report.evaluation(str(tmp_path)) == {}
