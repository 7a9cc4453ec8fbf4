"""`diptych lineage`: what an artifact was made from and went into, as trees, as a graph for Graphviz, as a picture."""

import io
import re
import shutil
import subprocess

import pytest
from PIL import Image
from tensorboard.backend.event_processing import event_accumulator

from components.errors import UserError
from pipeline import cli
from pipeline.console import overview
from pipeline.lineage import graph, picture
from pipeline.root import Root
from tests.pipeline.refusals import refusal
from tests.pipeline.runner import soundness, stages


def lineage(capsys, *arguments):
    """Returns the lines that the command prints."""
    assert cli.main(["lineage", *map(str, arguments)]) == 0
    return capsys.readouterr().out.splitlines()


def names(lines):
    """Returns the artifacts that lines are about, with their depth in the tree."""
    found = [re.match(r"((?:[│├└─ ]{4})*)(\w+/\w+/\d+)", line) for line in lines]
    return [(len(match[1]) // 4, match[2]) for match in found if match]


def test_a_chain_has_one_artifact_below_the_other(capsys, root):
    lines = lineage(capsys, root / "artifacts" / "Trainer" / "first" / "9")
    below = lines.index("went into:")
    assert names(lines[:below]) == [
        (0, "Trainer/first/9"),
        (1, "StatisticsGen/first/8"),
        (2, "AudioExampleGen/first/7"),
    ]
    assert names(lines[below:]) == [
        (1, "Exporter/first/10"),
        (2, "Evaluator/first/11"),
        (3, "Pusher/first/12"),
        (3, "Pusher/second/12"),
        (2, "Evaluator/second/11"),
        (1, "Exporter/second/10"),
    ]
    assert re.search(r"Trainer/first/9  \d{4}-\d\d-\d\d \d\d:\d\d, 0\.\d s  seed 3$", lines[0])


@pytest.mark.parametrize(
    "artifact",
    ["{root}/artifacts/Trainer/first/9/", "{root}/artifacts/Trainer/first/9/0.txt", "Trainer/first/9", "9"],
)
def test_an_artifact_has_several_names(capsys, root, artifact):
    lines = lineage(capsys, artifact.format(root=root), "--root", root)
    assert names(lines)[0] == (0, "Trainer/first/9")
    assert names(lines)[1] == ((0, "Trainer/second/9") if artifact == "9" else (1, "StatisticsGen/first/8"))


def test_what_was_reused_has_the_lineage_of_its_first_run(capsys, root):
    """The third run reused what the first one wrote."""
    assert names(lineage(capsys, "Pusher/first/6", "--root", root))[-1] == (5, "AudioExampleGen/first/1")
    assert "knows no artifact 18" not in lineage(capsys, "18", "--root", root)


def test_what_is_met_twice_is_unfolded_once(capsys, tmp_path):
    stages.run(tmp_path, stages.build())
    lines = lineage(capsys, "Verdict/blessing/4", "--root", tmp_path)
    assert names(lines) == [(0, "Verdict/blessing/4"), (1, "Total/model/3"), (2, "Numbers/examples/1")]
    lines = lineage(capsys, "1", "--root", tmp_path)
    assert [name for _, name in names(lines)].count("Verdict/blessing/4") == 1


@pytest.mark.parametrize("artifact", ["Trainer/first/1", "Trainer/third/3", "99", "/nowhere/5", "artifacts", "x y"])
def test_what_does_not_exist_is_said_in_one_sentence(capsys, root, artifact):
    assert f"knows no artifact {artifact}" in refusal(capsys, "lineage", artifact, "--root", root)


def test_a_root_must_be_named_or_part_of_the_path(capsys, root, tmp_path):
    assert "--preset NAME or --root DIR" in refusal(capsys, "lineage", "9")
    gone = tmp_path / "artifacts" / "Trainer" / "first" / "9"
    assert f"There is no run under {tmp_path}" in refusal(capsys, "lineage", gone)


def test_a_pushed_model_is_found_by_its_version(tmp_path):
    """The folder lies outside of the root, where a model server watches."""
    from pipeline.lineage import finding
    from pipeline.metadata.executions import Artifact, CacheKey, Execution, Run, State
    from pipeline.metadata.store import MetadataStore

    store = MetadataStore(str(tmp_path / "metadata.sqlite"), pipeline="test", root=tmp_path)
    run = Run(name="r", stages=("Pusher",))
    store.start_run(run)
    config = {"destination": str(tmp_path / "served"), "version": None}
    key = CacheKey(stage="Pusher", version=1, libraries={}, config=config, inputs={}, external={})
    pushed = Artifact(type="PushedModel", uri=f"{tmp_path}/artifacts/Pusher/pushed_model/1", digest="", listing="")
    execution = Execution(
        cache_key=key, state=State.COMPLETE, figures={"version": 12}, outputs={"pushed_model": pushed}
    )
    store.put(execution, run=run)
    place = Root(tmp_path)
    assert finding.artifacts(f"{tmp_path}/served/12", root=place, store=store) == [pushed]
    with pytest.raises(UserError, match="knows no artifact"):
        finding.artifacts(f"{tmp_path}/served/11", root=place, store=store)


def test_the_graph_has_an_edge_for_each_input_and_output(capsys, root):
    text = "\n".join(lineage(capsys, "Evaluator/first/11", "--root", root, "--dot"))
    edges = set(re.findall(r"^  (\w+) -> (\w+) \[", text, flags=re.MULTILINE))
    labels = dict(re.findall(r'^  (\w+) \[.*?label="([^"]*)"', text, flags=re.MULTILINE))
    named = {(labels[a].split("\\n")[0], labels[b].split("\\n")[0]) for a, b in edges}
    assert {
        ("AudioExampleGen 7", "AudioExampleGen/first/7"),
        ("AudioExampleGen/first/7", "StatisticsGen 8"),
        ("Evaluator 11", "Evaluator/first/11"),
        ("Evaluator/first/11", "Pusher 12"),
    } <= named
    assert len(named) == 6 * 2 + 5
    assert re.search(r'label="Evaluator/first/11".*style="filled"', text)


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_draws_the_graph(capsys, root):
    text = "\n".join(lineage(capsys, "Evaluator/first/11", "--root", root, "--dot"))
    drawn = subprocess.run(["dot", "-Tsvg"], input=text, text=True, capture_output=True, check=True).stdout
    assert drawn.count('class="node"') == 6 * 3


def test_texts_of_stages_do_not_break_the_graph():
    from pipeline.lineage import dot

    assert dot._quoted('a "b" \\ c\nd') == '"a \\"b\\" \\\\ c\\nd"'


def test_the_picture_shows_a_curve_for_each_pair_of_stages(tmp_path):
    done = stages.run(tmp_path, stages.build())
    store = soundness.store_of(tmp_path)
    lineage = graph.of_run(done.values(), store)
    drawn = picture.draw(lineage, stages=["Numbers", "Census", "Total", "Verdict", "Later"])
    image = Image.open(io.BytesIO(drawn.png)).convert("RGB")
    assert image.size == (drawn.width, drawn.height)
    colors = {color for _, color in image.getcolors(maxcolors=2**20)}
    # From Numbers to Census and to Total; from Total to Verdict. What has not run is gray.
    for used in (picture._CURVES[0], picture._CURVES[2], picture._COLORS["ran"], picture._UNUSED):
        assert tuple(bytes.fromhex(used[1:])) in colors
    for unused in (picture._CURVES[1], picture._CURVES[3], picture._COLORS["failed"]):
        assert tuple(bytes.fromhex(unused[1:])) not in colors


def test_the_picture_is_in_tensorboard_beside_the_overview(tmp_path):
    stages.run(tmp_path, stages.build())
    accumulator = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard" / "0 overview"))
    accumulator.Reload()
    (event,) = accumulator.Tensors(overview.LINEAGE)
    width, height, png = event.tensor_proto.string_val
    image = Image.open(io.BytesIO(png))
    assert image.size == (int(width), int(height))
    assert accumulator.SummaryMetadata(overview.LINEAGE).plugin_data.plugin_name == "images"
