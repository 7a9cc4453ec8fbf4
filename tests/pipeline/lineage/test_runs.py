"""`diptych runs` and `diptych diff`."""

import io
import subprocess
import sys

import pytest
from rich.console import Console

from pipeline import cli
from pipeline.lineage import comparison, runs
from tests.pipeline.refusals import refusal
from tests.pipeline.runner import chain, soundness, stages


def rows(root, *, newest=None, is_live=False):
    return runs.rows(soundness.store_of(root), newest=newest, is_live=is_live)


def test_a_row_says_when_how_and_what_changed(root):
    found = rows(root)
    assert [row.outcome for row in found] == ["finished"] * 3
    assert [row.score for row in found] == ["0.100", "0.300", "0.100"]
    assert found[0].changes == []
    assert "audio_example_gen.seed 1 -> 3" in found[1].changes
    assert "audio_example_gen.seed 3 -> 1" in found[2].changes
    assert found[0].seconds > found[2].seconds >= 0
    assert [row.name for row in rows(root, newest=1)] == [found[2].name]
    assert rows(root, newest=1)[0].changes == found[2].changes


def test_a_run_says_the_same_changes_however_many_are_listed(tmp_path):
    stages.run(tmp_path, chain.build(1))
    stages.run(tmp_path, chain.build(2), until_stage="StatisticsGen")
    stages.run(tmp_path, chain.build(2))
    found = rows(tmp_path)
    assert "trainer.seed 1 -> 2" in found[2].changes
    for newest in (1, 2, 3, 4):
        assert [row.changes for row in rows(tmp_path, newest=newest)] == [row.changes for row in found[-newest:]]


def test_a_run_that_did_not_finish_says_where(tmp_path):
    stages.run(tmp_path, stages.build(), until_stage="Census")
    with pytest.raises(RuntimeError):
        stages.run(tmp_path, stages.build(total={"fail": True}))
    with pytest.raises(stages.interrupts.Interrupted):
        _interrupted(tmp_path)
    outcomes = [row.outcome for row in rows(tmp_path)]
    assert outcomes == ["ended after Census", "failed: Total", "stopped: Total"]


def _interrupted(root):
    class Total(stages.Total):
        def execute(self, **arguments):
            raise stages.interrupts.Interrupted(2)

    pipeline = stages.build()
    pipeline.nodes[2] = type(pipeline.nodes[2])(component=Total(), inputs=pipeline.nodes[2].inputs)
    stages.run(root, pipeline)


def test_a_killed_run_is_not_shown_as_running(tmp_path):
    command = [sys.executable, "-m", "tests.pipeline.runner.program", str(tmp_path), "--seconds", "30"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        from tests import processes

        processes.wait_until(lambda: list(tmp_path.glob("work/Total/*/step")))
        assert rows(tmp_path, is_live=True)[-1].outcome == "running: Total"
    finally:
        process.kill()
        process.wait()
    assert rows(tmp_path)[-1].outcome == "killed: Total"


@pytest.mark.parametrize("width", [40, 200])
def test_the_list_fits_the_terminal(root, width):
    file = io.StringIO()
    runs.show(rows(root), Console(width=width, file=file))
    text = file.getvalue()
    for row in rows(root):
        assert row.name in text
    assert width < 100 or max(map(len, text.splitlines())) <= width


def test_the_command_lists_the_newest(capsys, root):
    assert cli.main(["runs", "--root", str(root), "--newest", "2"]) == 0
    text = capsys.readouterr().out
    assert [row.name in text for row in rows(root)] == [False, True, True]


def compare(root, before, after):
    store = soundness.store_of(root)
    all_runs = store.runs()
    stages_of = [{e.stage: e for e in store.executions(run=all_runs[number])} for number in (before, after)]
    return comparison.compare(*stages_of)


def test_a_comparison_has_config_data_and_scores(root):
    found = compare(root, 0, 1)
    change = comparison.Change(name="trainer.seed", before="1", after="3")
    assert change in found.config
    assert [change.name for change in found.data] == [f"{stage} first" for stage in chain.STAGES]
    assert comparison.Change(name="both", before="0.100", after="0.300 (+0.200)") in found.scores
    assert not found.code
    assert not found.stages


def test_runs_that_differ_in_nothing(root, capsys):
    found = compare(root, 0, 2)
    assert [found.config, found.code, found.data, found.stages] == [[]] * 4
    names = [row.name for row in rows(root)]
    assert cli.main(["diff", names[0], "last", "--root", str(root)]) == 0
    text = capsys.readouterr().out
    for part in ("Config", "Code", "Data"):
        assert f"{part}: the same" in text


def test_versions_libraries_and_code_are_compared(tmp_path, monkeypatch):
    stages.run(tmp_path, stages.build())
    monkeypatch.setattr(stages.Total, "version", 2)
    monkeypatch.setattr(stages.Total, "libraries", ("pytest",))
    stages.run(tmp_path, stages.build(), until_stage="Total")
    found = compare(tmp_path, 0, 1)
    assert [(change.name, change.before, change.after) for change in found.code] == [
        ("Total version", "1", "2"),
        ("pytest", "unset", pytest.__version__),
    ]
    excluded = [comparison.Change(name=stage, before="ran", after="not run") for stage in ("Census", "Verdict")]
    assert found.stages == excluded


def test_runs_of_two_roots(root, tmp_path, capsys):
    stages.run(tmp_path / "other", chain.build(2))
    assert cli.main(["diff", str(root), str(tmp_path / "other")]) == 0
    assert "trainer.seed" in capsys.readouterr().out


def test_a_run_is_known_by_a_part_of_its_name_that_no_other_has(root, capsys):
    names = [row.name for row in rows(root)]
    assert cli.main(["diff", names[0][-4:], names[1][-4:], "--root", str(root)]) == 0
    capsys.readouterr()
    assert f"is a part of the names of 3 runs under {root}" in refusal(capsys, "diff", "20", "last", "--root", root)
    assert f"There is no run nope under {root}" in refusal(capsys, "diff", "last", "nope", "--root", root)


@pytest.mark.parametrize("command", ["runs", "gc", "lineage 5", "diff last last"])
def test_a_root_without_a_run_is_refused_and_not_created(capsys, tmp_path, command):
    assert "There is no run under" in refusal(capsys, *command.split(), "--root", tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_no_command_imports_what_is_slow(root):
    commands = [command.split() for command in ("runs", "gc", "lineage 5", "diff last last", "gc --delete")]
    program = (
        "import sys; from pipeline import cli\n"
        f"for command in {commands}: assert cli.main([*command, '--root', sys.argv[1]]) == 0\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(root)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.splitlines()[-1].split())
    slow = {"tensorflow", "keras", "apache_beam", "sklearn", "scipy", "matplotlib", "ml_metadata", "pyarrow"}
    assert not slow & imported
