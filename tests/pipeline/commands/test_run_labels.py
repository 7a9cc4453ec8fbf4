"""Runs the whole pipeline on manifests whose labels a probe cannot use, or not all of them."""

import json

import pytest

from pipeline import cli
from tests import corpora
from tests.pipeline.refusals import refusal

FAST = [
    "trainer.steps=2",
    "trainer.batch_size=8",
    "trainer.eval_every=1",
    "trainer.model.width=0.03125",
    "trainer.model.widths.waveform=null",
    "trainer.model.encoders.waveform=conv320",
    "trainer.model.crop_seconds=0.5",
    "evaluator.mlp_epochs=2",
    "evaluator.mlp_hidden=8",
]
CLIPS = 30


def _manifest(folder, columns, row):
    """Writes 30 tones of 1.5 s and a manifest with a line of `row(index)` for each."""
    lines = [f"path,{columns}"]
    for index in range(CLIPS):
        corpora.write_tone(folder / f"{index}.wav", seconds=1.5, hertz=200.0 + 60 * index)
        lines.append(f"{index}.wav,{row(index)}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder


def _arguments(folder, root, *overrides):
    return ["run", "--preset", "tiny", "--data", str(folder), "--root", str(root), *FAST, *overrides]


def _run(folder, root, *overrides):
    """Runs the pipeline and returns Stage -> its row in the report."""
    assert cli.main(_arguments(folder, root, *overrides)) == 0
    report = json.loads((root / "report.json").read_text())
    return {row["stage"]: row for row in report["stages"]}


def _split(index):
    return ("train", "train", "train", "valid", "eval")[index % 5]


@pytest.mark.parametrize(
    ("probe", "columns", "row", "reason"),
    [
        ("linear", "labels,split", lambda i: f"{'ab'[i % 2]},{_split(i)}", "no clip with exactly one label has a fold"),
        pytest.param(
            "mlp",
            "labels,split",
            lambda i: f"{'a;b' if i % 5 < 4 else ''},{_split(i)}",
            "no class has two clips and is missing from two others",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_probe_that_the_labels_do_not_allow_is_refused_before_training(tmp_path, capsys, probe, columns, row, reason):
    folder = _manifest(tmp_path / "data", columns, row)
    message = refusal(capsys, *_arguments(folder, tmp_path / "root", f"evaluator.probe={probe}"))
    assert f"evaluator.probe={probe} cannot work, because {reason}" in message
    assert "set evaluator.probe=auto" in message
    assert not (tmp_path / "root" / "artifacts" / "Trainer").exists()


NOT_PROBED = {
    "no labels": ("labels", lambda i: "", "not probed: no labels in the examples"),
    "an eval split without labels": (
        "labels,split", lambda i: f"{'a;b' if i % 5 < 4 else ''},{_split(i)}", "no class has two clips",
    ),
    "one class": ("labels,split", lambda i: f"a,{_split(i)}", "no class has clips, and is missing from others"),
    "one class a fold": ("labels,fold", lambda i: f"{'abc'[i % 3]},{i % 3 + 1}", "fewer than two classes have clips"),
    "one fold": ("labels,fold", lambda i: f"{'abc'[i % 3]},1", "fewer than two classes have clips without another"),
    "the same labels on all clips": ("labels,fold", lambda i: f"a;b,{i % 3 + 1}", "no class has clips in two folds"),
    "an eval split of one clip": (
        "labels,split", lambda i: f"{'ab'[i % 2]},{'eval' if i == 7 else 'train'}", "no class has clips",
    ),
}  # fmt: skip

LEFT_OUT = {
    "neither folds nor an eval split": ("labels", lambda i: "ab"[i % 2], "linear", ""),
    "several labels": ("labels", lambda i: ("a;b", "b;c", "a;c")[i % 3], "mlp", ""),
    "several labels among folds": ("labels,fold", lambda i: f"{('a;b', 'b;c', 'a;c')[i % 3]},{i % 4 + 1}", "mlp", ""),
    "folds from 0": ("labels,fold", lambda i: f"{'ab'[i % 2]},{i % 3}", "linear", ""),
    "gaps between folds": ("labels,fold", lambda i: f"{'ab'[i % 2]},{(1, 3, 7)[i % 3]}", "linear", ""),
    "an unlabeled clip among folds": (
        "labels,fold", lambda i: f"{'ab'[i % 2] if i else ''},{i % 3 + 1}", "linear", "1 clip without a label",
    ),
    "a class with one clip": (
        "labels,fold", lambda i: f"{'ab'[i % 2] if i else 'c'},{i % 3 + 1}", "linear",
        "1 of 3 classes, not in two folds (c)",
    ),
    "folds for some clips only": (
        "labels,fold", lambda i: f"{'ab'[i % 2]},{i % 3 if i % 4 else ''}", "linear", "",
    ),
    "a class only in eval": (
        "labels,split", lambda i: f"{'ab'[i % 2] if i < 29 else 'c'},{_split(i)}", "mlp", "1 of 3 classes",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", NOT_PROBED)
def test_auto_never_fails_a_run_for_its_labels(tmp_path, case):
    columns, row, reason = NOT_PROBED[case]
    folder = _manifest(tmp_path / "data", columns, row)
    stages = _run(folder, tmp_path / "root")
    summary = stages["Evaluator"]["summary"]
    assert "not probed" in summary
    assert reason in summary
    is_unlabeled = case == "no labels"
    assert stages["Pusher"]["summary"].startswith("pushed" if is_unlabeled else "not pushed: not probed: ")
    # The way out that the message names works.
    advised = _run(folder, tmp_path / "root", "evaluator.probe=none")
    assert advised["Trainer"]["outcome"] == "skipped"
    assert advised["Pusher"]["summary"].startswith("pushed")


@pytest.mark.slow
@pytest.mark.parametrize("case", LEFT_OUT)
def test_auto_leaves_out_what_cannot_be_probed_and_says_so(tmp_path, case):
    columns, row, probe, left_out = LEFT_OUT[case]
    stages = _run(_manifest(tmp_path / "data", columns, row), tmp_path / "root")
    assert "none quarantined" in stages["AudioExampleGen"]["summary"]
    summary = stages["Evaluator"]["summary"]
    assert summary.startswith(f"{probe} probe")
    assert ("left out" in summary) == bool(left_out)
    assert left_out in summary
