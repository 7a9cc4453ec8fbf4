"""Roots of single cells below the shared root, as `--print` asks for them, that are damaged or were made elsewhere."""

import json
import shutil

import pytest

from components.errors import UserError
from pipeline import cli
from pipeline.console.progress import Display
from pipeline.metadata.executions import Artifact, CacheKey, Execution, State
from pipeline.metadata.store import MetadataStore
from tests.pipeline.experiments.test_cells import study_of


def with_a_finished_training(root):
    """Makes a root that has finished a training on examples that are not there."""
    root.mkdir(parents=True)
    metadata = MetadataStore(str(root / "metadata.sqlite"), pipeline=str(root))
    key = CacheKey(stage="Evaluator", version=1, libraries={}, config={}, inputs={}, external={})
    evaluation = Artifact(type="Evaluation", uri=str(root / "evaluation"), digest="d", listing="l")
    metadata.put(Execution(cache_key=key, state=State.COMPLETE, outputs={"evaluation": evaluation}))
    return root


def cut_metadata(root):
    file = with_a_finished_training(root) / "metadata.sqlite"
    file.write_bytes(file.read_bytes()[:5000])


def no_metadata_at_all(root):
    root.mkdir(parents=True)
    (root / "metadata.sqlite").write_text("hello " * 1000)


@pytest.mark.parametrize("damage", [cut_metadata, no_metadata_at_all])
def test_a_damaged_root_of_a_selected_cell_is_the_error_of_that_cell(tmp_path, capsys, damage):
    own = tmp_path / "cells" / "reference"
    damage(own)
    words = ["ablate", "recipe", "--preset", "quickstart", "--root", str(tmp_path), "--seeds", "2"]
    assert cli.main([*words, "--budget", "steps=2", "--only", "reference"]) == 2
    message = f"The metadata store {own / 'metadata.sqlite'} is damaged"
    assert f"reference, seed 1 failed: {message}" in capsys.readouterr().out
    content = json.loads((tmp_path / "experiments" / "recipe" / "results.json").read_text())
    runs = next(cell["runs"] for cell in content["cells"] if cell["name"] == "reference")
    assert [run["state"] for run in runs] == ["failed"] * 2
    assert runs[0]["error"].startswith(message)


@pytest.mark.parametrize("damage", [cut_metadata, no_metadata_at_all])
def test_a_damaged_root_of_another_cell_is_said_and_ends_nothing(tmp_path, capsys, damage):
    own = tmp_path / "cells" / "conv1280"
    damage(own)
    study_of("recipe", root=tmp_path, only=["reference"])._look(Display())
    shown = capsys.readouterr().out
    assert f"Not in the results: conv1280. The metadata store {own / 'metadata.sqlite'} is damaged" in shown
    assert shown.count("\n") == 1


def test_a_damaged_shared_root_ends_the_command(tmp_path):
    cut_metadata(tmp_path / "root")
    with pytest.raises(UserError, match=r"root/metadata\.sqlite is damaged"):
        study_of("recipe", root=tmp_path / "root")._look(Display())


def test_a_cell_that_only_leaves_out_is_named_if_its_root_was_made_of_other_examples(tmp_path, capsys):
    """As where a copy was put there whose audio lies elsewhere on this machine: it is found once it is selected."""
    elsewhere = with_a_finished_training(tmp_path / "elsewhere")
    root = tmp_path / "root"
    shutil.copytree(elsewhere, root / "cells" / "conv1280")
    study_of("recipe", root=root, only=["reference"])._look(Display())
    shown = capsys.readouterr().out
    assert shown.startswith(
        f"Not in the results: conv1280. They may have finished under {root / 'cells' / 'conv1280'}, on "
    )
    assert "name these cells after --only, too; they are found if the audio is the same" in shown
    study_of("recipe", root=root, only=["conv1280"])._look(Display())
    assert capsys.readouterr().out == ""


def test_cells_in_the_shared_root_are_named_in_one_line(tmp_path, capsys):
    with_a_finished_training(tmp_path / "root")
    own = with_a_finished_training(tmp_path / "root" / "cells" / "reference")
    study_of("recipe", root=tmp_path / "root", only=["reference"])._look(Display())
    shown = capsys.readouterr().out
    assert shown.startswith("Not in the results: no-mixing, conv1280, ")
    assert f"under {tmp_path / 'root'}, on other examples" in shown
    assert str(own) not in shown
    assert shown.count("\n") == 1
