import pathlib

import pytest
from etils import epath

from pipeline import event_file
from pipeline.event_folders import EventFolders
from pipeline.root import Root
from tests import tensorboard_server
from tests.bucket import Bucket
from tests.pipeline.runner import stages
from tests.processes import wait_until

STAGES = ("SyntheticAudioGen", "AudioExampleGen", "Trainer")


def folders(path, stages=STAGES):
    return EventFolders(Root(epath.Path(path)), stages)


def files(root):
    """Returns the files below the event files' folder, with their content."""
    folder = epath.Path(root) / "tensorboard"
    return {
        f"{stage.name}/{key.name}/{file.name}": file.read_text()
        for stage in folder.iterdir()
        for key in stage.iterdir()
        for file in key.iterdir()
        if "place" not in file.name
    }


def write(root, *names):
    for name in names:
        file = epath.Path(root) / "tensorboard" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)


@pytest.mark.parametrize("count", [1, 9, 10, 12, 100])
def test_the_folders_sort_in_the_order_of_the_stages(tmp_path, count):
    names = [f"Stage{number:x}" for number in range(count, 0, -1)]
    made = folders(tmp_path, names)
    paths = [made.overview, *(made.create(stage=name, cache_key="0123456789abcdef") for name in names)]
    assert sorted(map(str, paths)) == list(map(str, paths))
    assert all(path.is_dir() for path in paths[1:])
    assert made.run_name(stage=names[0], cache_key="0123456789abcdef").endswith("1 " + names[0] + "/01234567")


@pytest.fixture(params=["local", "bucket"])
def root(request, tmp_path, monkeypatch):
    if request.param == "local":
        return tmp_path
    Bucket(tmp_path).install(monkeypatch)
    (tmp_path / "bucket").mkdir()
    return "gs://bucket/root"


def test_event_files_of_an_earlier_version_and_of_another_pipeline_are_numbered(root):
    write(root, "Trainer/aa/1", "Trainer/aa/2", "1 AudioExampleGen/bb/1", "7 Pusher/cc/1", "Evaluator/dd/1")
    folders(root).renumber()
    assert files(root) == {
        "3 Trainer/aa/1": "Trainer/aa/1",
        "3 Trainer/aa/2": "Trainer/aa/2",
        "2 AudioExampleGen/bb/1": "1 AudioExampleGen/bb/1",
        "7 Pusher/cc/1": "7 Pusher/cc/1",  # Not a stage of this pipeline.
        "Evaluator/dd/1": "Evaluator/dd/1",
    }


def test_a_move_that_was_cut_short_is_finished(root):
    write(root, "Trainer/aa/2", "Trainer/bb/3", "3 Trainer/aa/1")
    folders(root).renumber()
    assert files(root) == {
        "3 Trainer/aa/1": "3 Trainer/aa/1",
        "3 Trainer/aa/2": "Trainer/aa/2",
        "3 Trainer/bb/3": "Trainer/bb/3",
    }


def test_a_stage_that_is_continued_finds_the_event_files_that_an_earlier_version_wrote(tmp_path):
    with pytest.raises(RuntimeError):
        stages.run(tmp_path, stages.build(total={"fail": True}))
    numbered = next((tmp_path / "tensorboard").glob("3 Total/*"))
    old = tmp_path / "tensorboard" / "Total" / numbered.name
    old.parent.mkdir()
    numbered.rename(old)
    (old / "of the first attempt").write_text("x")
    with pytest.raises(RuntimeError):
        stages.run(tmp_path, stages.build(total={"fail": True}))
    assert {path.name for path in numbered.iterdir()} == {"03-tfevents-place", "events", "of the first attempt"}
    assert not old.parent.exists()


@pytest.mark.parametrize("fast", [False, True])
def test_tensorboard_lists_the_stages_in_order_however_late_each_ran(tmp_path, fast):
    stages_run = [("Trainer", "bb"), ("AudioExampleGen", "aa"), ("Trainer", "cc"), ("SyntheticAudioGen", "dd")]
    for place, (stage, key) in enumerate(stages_run):
        event_file.write_texts(epath.Path(tmp_path / "tensorboard" / stage / key), {"x": str(place)})
    made = folders(tmp_path)
    made.renumber()
    event_file.write_texts(made.overview, {"0 overview": "x"})
    serve = tensorboard_server.serve_fast if fast else tensorboard_server.serve
    expected = ["0 overview", "1 SyntheticAudioGen/dd", "2 AudioExampleGen/aa", "3 Trainer/bb", "3 Trainer/cc"]
    with serve(tmp_path / "tensorboard") as server:
        wait_until(lambda: server.json("data/runs") == expected)
    folders(tmp_path, ["Trainer", "AudioExampleGen"]).renumber()
    (place,) = (tmp_path / "tensorboard" / "1 Trainer" / "bb").glob("*place")
    assert place.name == "01-tfevents-place"


def test_stages_lie_in_the_order_in_which_they_run(tmp_path):
    stages.run(tmp_path, stages.build())
    names = sorted(path.name for path in pathlib.Path(tmp_path, "tensorboard").iterdir())
    assert names == ["0 overview", "1 Numbers", "2 Census", "3 Total", "4 Verdict"]
