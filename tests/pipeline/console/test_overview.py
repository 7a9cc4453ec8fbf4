import html
import re

import pytest
from tensorboard import plugin_util
from tensorboard.backend.event_processing import event_accumulator

from components import base
from pipeline.console import overview, report
from tests import disks
from tests.pipeline.runner import stages


def read(root, tag=overview.RUN):
    """Returns a text of the overview of a root in Markdown."""
    accumulator = event_accumulator.EventAccumulator(str(root / "tensorboard" / "0 overview"))
    accumulator.Reload()
    (event,) = accumulator.Tensors(tag)
    return event.tensor_proto.string_val[0].decode()


def rows(page):
    """Returns the cells of the first table, without its header."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_a_finished_run_has_a_row_per_stage_with_links(tmp_path, monkeypatch):
    monkeypatch.setattr(stages.Total, "shows", {"text": "the total", "scalars": "a curve"})
    done = stages.run(tmp_path, stages.build())
    page = read(tmp_path)
    assert "**finished**" in page
    assert [row[:2] for row in rows(page)] == [
        ["1 Numbers", "ran"],
        ["2 Census", "ran"],
        ["3 Total", "ran"],
        ["4 Verdict", "ran"],
    ]
    only = f"%5E3%20Total%2F{done['Total'].cache_key.digest[:8]}%24"
    assert rows(page)[2][3:] == [
        "total 3, from step 0",
        f"[the total](#text&regexInput={only}&tagFilter=.)<br>[a curve](?runFilter={only}#timeseries)",
    ]
    assert read(tmp_path, overview.SCORES) == "This run has no scores."


def test_a_second_run_says_why_a_stage_ran_or_not(tmp_path):
    stages.run(tmp_path, stages.build())
    stages.run(tmp_path, stages.build(numbers={"count": 4}), until_stage="Total")
    found = rows(read(tmp_path))
    assert [row[1] for row in found] == ["ran", "not run", "ran", "not run"]
    assert found[0][3] == "4 numbers<br>*config.count 3 -> 4*"
    stages.run(tmp_path, stages.build(numbers={"count": 4}))
    assert [row[1] for row in rows(read(tmp_path))] == ["skipped", "ran", "skipped", "ran"]


def test_the_overview_is_there_while_the_run_goes_on(tmp_path, monkeypatch):
    seen = []
    sleep = stages.time.sleep
    monkeypatch.setattr(stages.time, "sleep", lambda seconds: (seen.append(read(tmp_path)), sleep(seconds)))
    stages.run(tmp_path, stages.build())
    assert "**in progress**" in seen[0]
    assert [row[1] for row in rows(seen[0])] == ["ran", "ran", "running", "not run"]


def test_a_run_that_fails_says_where_and_why(tmp_path):
    with pytest.raises(RuntimeError):
        stages.run(tmp_path, stages.build(total={"fail": True}))
    page = read(tmp_path)
    assert "**ended early**" in page
    assert [row[1] for row in rows(page)] == ["ran", "ran", "failed", "not run"]
    assert rows(page)[2][3] == "RuntimeError: it broke"


def test_a_run_goes_on_where_the_overview_cannot_be_written(tmp_path, caplog):
    stages.run(tmp_path, stages.build())
    with disks.read_only(tmp_path / "tensorboard"):
        done = stages.run(tmp_path, stages.build())
    assert all(execution.state.name == "CACHED" for execution in done.values())
    warnings = [record.getMessage() for record in caplog.records if "overview" in record.getMessage()]
    assert len(warnings) == 1
    assert str(tmp_path / "tensorboard") in warnings[0]


TEXT = "a|b *c* _d_ `e` [f](#g) <h>i</h> &lt; \\j #k {l} 鳥, log_mel 0.5, untrained/x"


def test_texts_of_stages_are_shown_as_they_are():
    row = report.StageRow(stage="S", outcome="ran", seconds=1.0, summary=TEXT, why=TEXT)
    result = report.Report(
        run="r",
        preset=TEXT,
        started="2026-01-01T10:00:00",
        stages=(row,),
        evaluation={"probe": "mlp", "metric": "mAP", "scores": {"both": 0.5, "untrained/both": 0.25}},
        saved_model="/m",
        tensorboard="",
    )
    texts = overview.pages(result, state="finished", links={})
    run, scores = (_as_text(plugin_util.markdown_to_safe_html(texts[tag])) for tag in (overview.RUN, overview.SCORES))
    assert run.count(TEXT) == 3
    assert "/m" in run
    assert re.search(r"both, concatenated\s*0\.500\s*0\.250", scores)


def _as_text(page):
    """Returns the text of a page of HTML. A browser shows a new line as a space."""
    without_tags = re.sub(r"</?(?:table|thead|tbody|tr|t[hd]|p|em|h\d|strong|code)>", "", page.replace("<br>", " "))
    return html.unescape(without_tags).replace("  ", " ")


def test_every_stage_says_what_it_shows_in_tabs_that_tensorboard_has():
    from pipeline import dag
    from pipeline.configs import resolve

    pipeline = dag.create_pipeline(resolve.resolve("quickstart"))
    for node in pipeline.nodes:
        assert node.component.shows or node.name == "Importer"
        assert set(node.component.shows) <= set(base.Tab.__args__)
