import importlib.metadata
import json
import os
import subprocess
import sys
import time

import pytest
from etils import epath

from components.errors import UserError
from pipeline import checksums
from pipeline.console.progress import Display
from pipeline.runner import one_component
from pipeline.runner.supervision import Supervision
from tests import leases, processes
from tests.benchmarks.docs import ROOT
from tests.bucket import Bucket
from tests.pipeline.runner import stages


@pytest.fixture
def folders(tmp_path):
    return {name: epath.Path(tmp_path / name) for name in ("examples", "model", "run", "root")}


def run(component, folders, *, supervision=None, **inputs):
    """Runs a component on the folders that have the names of its channels."""
    return one_component.run(
        component,
        inputs={name: folders[name] for name in component.inputs} | inputs,
        outputs={name: folders[name] for name in component.outputs},
        root=folders["root"],
        display=Display(),
        supervision=supervision,
    )


def test_a_component_writes_what_the_runner_lets_it_write(tmp_path, folders):
    finished = run(stages.Numbers(), folders)
    done = stages.run(tmp_path / "runs", stages.build())
    recorded = done["Numbers"].outputs["examples"]
    assert finished.digests == {"examples": recorded.digest}
    assert finished.result.summary == done["Numbers"].summary
    assert checksums.altered_file(folders["examples"]) is None
    assert run(stages.Total(), folders).digests["model"] == done["Total"].outputs["model"].digest


def test_what_failed_continues_in_its_work_folder(folders):
    run(stages.Numbers(), folders)
    with pytest.raises(RuntimeError):
        run(stages.Total(stages.Total.Config(seconds=0.2, fail=True)), folders)
    assert not folders["run"].exists()  # What was written before the error is not an output.
    # Another attempt finds what the first one left, also if it runs elsewhere.
    with pytest.raises(RuntimeError):
        run(stages.Total(stages.Total.Config(seconds=0.2, fail=True, workers=2)), folders)
    (state,) = folders["root"].glob("work/Total/*/work/step")
    assert state.read_text() == "4"


def test_work_on_what_lies_outside_is_not_continued_with_something_else(tmp_path, folders):
    class Total(stages.Total):
        outside = "a"

        def external_digests(self):
            return {"initial": self.outside}

    def fails(outside):
        Total.outside = outside
        with pytest.raises(RuntimeError):
            run(Total(Total.Config(fail=True)), folders)
        return len(list(folders["root"].glob("work/Total/*")))

    run(stages.Numbers(), folders)
    assert [fails(outside) for outside in ("a", "a", "b", "a")] == [1, 1, 2, 2]


def test_a_stall_is_said(folders, capsys):
    run(stages.Numbers(), folders)

    class Slow(stages.Total):
        def execute(self, **folders_and_context):
            time.sleep(0.3)
            return super().execute(**folders_and_context)

    run(Slow(), folders, supervision=Supervision(stall_minutes=0.1 / 60))
    assert "Slow: no progress for 0.1 s, since it began" in capsys.readouterr().out


def test_what_a_stage_leaves_undone_is_continued(folders):
    run(stages.Numbers(), folders)
    total = stages.Total(stages.Total.Config(left=1))
    assert run(total, folders).result.figures["first"] == 0
    assert run(total, folders).result.figures["first"] == 1
    done = stages.Total()  # `left` decides nothing of what is written.
    assert run(done, folders).result.figures["first"] == 1
    assert not list(folders["root"].glob("work/Total/*/work"))


@pytest.mark.parametrize("change", ["config", "content", "place", "library"])
def test_other_work_is_not_continued(folders, change, tmp_path, monkeypatch):
    monkeypatch.setattr(stages.Total, "libraries", ("keras",))
    run(stages.Numbers(), folders)
    run(stages.Total(stages.Total.Config(left=1)), folders)
    config, inputs = stages.Total.Config(left=1), {}
    if change == "config":
        config = stages.Total.Config(left=1, seconds=0.01)
    elif change == "content":
        (folders["examples"] / "numbers.txt").write_text("0\n1\n2\n3")
    elif change == "library":
        monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9")
    else:
        folders["examples"].rename(tmp_path / "moved")
        inputs = {"examples": epath.Path(tmp_path / "moved")}
    for channel in ("model", "run"):
        folders[channel].rmtree()
    assert run(stages.Total(config), folders, **inputs).result.figures["first"] == 0


def test_files_of_someone_else_are_not_removed(folders):
    folders["examples"].mkdir()
    (folders["examples"] / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match=r"--output examples .*examples is not empty: name a new folder"):
        run(stages.Numbers(), folders)
    assert (folders["examples"] / "letter.txt").read_text() == "dear"
    (folders["examples"] / "letter.txt").unlink()
    run(stages.Numbers(), folders)
    with pytest.raises(UserError, match="is not empty"):
        run(stages.Numbers(stages.Numbers.Config(count=5)), folders)


def test_what_has_finished_is_neither_repeated_nor_removed(folders, capsys):
    first = run(stages.Numbers(), folders)
    written = (folders["examples"] / "numbers.txt").stat().mtime
    assert run(stages.Numbers(), folders) == first
    assert (folders["examples"] / "numbers.txt").stat().mtime == written
    assert "its outputs are there since an earlier call" in capsys.readouterr().out
    (folders["examples"] / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match=r"--output examples .*examples is not empty: name a new folder"):
        run(stages.Numbers(), folders)
    folders["examples"].rmtree()
    assert run(stages.Numbers(), folders) == first
    assert (folders["examples"] / "numbers.txt").exists()


@pytest.mark.parametrize("has_checksums", [True, False])
def test_what_was_made_of_other_content_is_not_handed_out(folders, has_checksums):
    numbers, sums = folders["examples"] / "numbers.txt", folders["examples"].with_name("examples.sha256")
    run(stages.Numbers(), folders)
    if not has_checksums:  # As of audio that no component has written.
        sums.unlink()
    assert run(stages.Total(), folders).result.summary == "total 3, from step 0"
    assert run(stages.Total(), folders).result.summary == "total 3, from step 0"
    text = numbers.read_text()
    numbers.write_text(text[::-1])
    if has_checksums:
        checksums.write(folders["examples"], staged=folders["examples"])
    else:
        os.utime(numbers, ns=(0, 0))
    with pytest.raises(UserError, match=r"--output model .* is not empty: name a new folder"):
        run(stages.Total(), folders)


def test_what_has_finished_passes_the_checks_of_a_run(folders):
    run(stages.Numbers(), folders)
    run(stages.Total(), folders)
    with pytest.raises(UserError, match="total.most=2 is less than 3"):
        run(stages.Total(stages.Total.Config(most=2)), folders)


def test_a_finished_output_stays_when_the_same_is_written_elsewhere(folders, tmp_path):
    run(stages.Numbers(), folders)
    run(stages.Numbers(), folders | {"examples": epath.Path(tmp_path / "other")})
    with pytest.raises(UserError, match="is not empty"):
        run(stages.Numbers(), folders)
    assert (folders["examples"] / "numbers.txt").exists()


_PROCESS = """
import sys
from etils import epath
from tests.pipeline.runner import stages, test_one_component
folders = {name: epath.Path(sys.argv[1]) / name for name in ("examples", "model", "run", "root")}
test_one_component.run(stages.Total(stages.Total.Config(seconds=1)), folders)
"""


def test_what_was_killed_is_continued_and_what_runs_is_left_alone(folders, tmp_path):
    run(stages.Numbers(), folders)
    total = stages.Total(stages.Total.Config(seconds=1))
    process = subprocess.Popen([sys.executable, "-c", _PROCESS, str(tmp_path)], cwd=ROOT)
    try:
        processes.wait_until(lambda: list(folders["root"].glob("work/Total/*/work/step")))
        with pytest.raises(UserError, match=rf"Another diptych run \(process {process.pid} on .* is using"):
            run(total, folders)
    finally:
        process.kill()
        process.wait()
    assert run(total, folders).result.figures["first"] > 0


def test_everything_may_lie_in_a_bucket(tmp_path, monkeypatch):
    leases.hurry(monkeypatch)
    Bucket(tmp_path).install(monkeypatch)
    folders = {name: epath.Path(f"gs://bucket/{name}") for name in ("examples", "model", "run", "root")}
    run(stages.Numbers(), folders)
    with pytest.raises(RuntimeError):
        run(stages.Total(stages.Total.Config(fail=True)), folders)
    assert not folders["model"].exists()
    run(stages.Total(), folders)
    assert (folders["model"] / "total.json").read_text() == "3"
    run(stages.Total(), folders)  # As a container that was killed after its work and before KFP heard of it.


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ({}, {"model", "run"}, "Total lacks a folder for examples: give --input examples DIR."),
        ({"examples"}, {"model"}, "Total lacks a folder for run: give --output run DIR."),
        ({"examples", "audio"}, {"model", "run"}, "--input audio: Total has no such channel; it has examples."),
        ({"examples"}, {"model", "run"}, "there is no such folder; give what a stage has published."),
    ],
)
def test_wrong_channels_are_refused(tmp_path, inputs, outputs, message):
    inputs, outputs = ({name: epath.Path(tmp_path / name) for name in names} for names in (inputs, outputs))
    with pytest.raises(UserError) as error:
        one_component.run(stages.Total(), inputs=inputs, outputs=outputs, root=None, display=Display())
    assert message in str(error.value)
    assert not list(tmp_path.iterdir())


def test_the_root_is_beside_the_outputs_by_default(tmp_path):
    outputs = {"examples": epath.Path(tmp_path / "step" / "examples")}
    one_component.run(stages.Numbers(), inputs={}, outputs=outputs, root=None, display=Display())
    assert {path.name for path in (tmp_path / "step").iterdir()} == {
        "examples",
        "examples.sha256",
        "tensorboard",
        "work",
    }


class TestCreate:
    def test_a_stage_is_found_as_on_the_command_line_of_a_run(self):
        component = one_component.create("audio_example_gen", exec_properties=json.dumps({"source": "gs://b/x"}))
        assert (component.name, component.config.source) == ("AudioExampleGen", "gs://b/x")

    @pytest.mark.parametrize(
        ("stage", "exec_properties", "version", "message"),
        [
            ("Trainr", "{}", None, "STAGE Trainr: there is no such stage; did you mean Trainer?"),
            ("Trainer", "{", None, "--exec-properties of Trainer: "),
            ("Trainer", '{"steps": "many"}', None, "--exec-properties of Trainer: steps: must be a whole number"),
            ("Trainer", '{"stepz": 3}', None, "--exec-properties of Trainer: stepz: there is no such field."),
            ("Importer", "{}", None, "--exec-properties of Importer: model: "),
            ("Trainer", "{}", 99, "--component-version 99: Trainer is version "),
        ],
    )
    def test_what_does_not_fit_is_refused(self, stage, exec_properties, version, message):
        with pytest.raises(UserError) as error:
            one_component.create(stage, exec_properties=exec_properties, version=version)
        assert str(error.value).startswith(message)
