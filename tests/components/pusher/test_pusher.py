import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest
from etils import epath

from beam_jobs import google_storage, storage
from components.embedder.loaders import TrainedLoader
from components.errors import UserError
from components.pusher import Pusher, PusherConfig
from tests.bucket import Bucket
from tests.components import harness
from tests.processes import wait_until

SCORES = {"metric": "accuracy", "scores": {"both": 0.7}, "intervals": {"both": {"low": 0.6, "high": 0.8}}}
REPOSITORY = pathlib.Path(__file__).parents[3]


@pytest.fixture
def inputs(tmp_path):
    """A folder for each input channel: a SavedModel, two blessings and the Evaluator's scores."""
    folders = {name: epath.Path(tmp_path / name) for name in Pusher.inputs}
    for folder in folders.values():
        folder.mkdir()
    (folders["saved_model"] / "saved_model.pb").write_bytes(b"graph")
    (folders["saved_model"] / "variables").mkdir()
    (folders["saved_model"] / "variables" / "variables.index").write_bytes(b"index")
    _bless(folders, "blessing", {"blessed": True, "reasons": []})
    _bless(folders, "infra_blessing", {"blessed": True, "checks": {}})
    (folders["evaluation"] / "metrics.json").write_text(json.dumps(SCORES))
    return folders


def _bless(folders, channel, blessing):
    (folders[channel] / f"{channel}.json").write_text(json.dumps(blessing))


def _push(config, inputs, folder):
    """Executes the Pusher and returns the execution and the content of `pushed.json`."""
    run = harness.execute(Pusher(config), folder, **inputs)
    return run, json.loads((run.outputs["pushed_model"] / "pushed.json").read_text())


def test_pushes_in_the_layout_of_tensorflow_serving(inputs, tmp_path):
    target = tmp_path / "serving" / "diptych"
    run, report = _push(PusherConfig(destination=str(target), version=7), inputs, tmp_path / "run")
    assert {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()} == {
        "7/saved_model.pb",
        "7/assets.extra/evaluation.json",
        "7/variables/variables.index",
    }
    assert (target / "7" / "saved_model.pb").read_bytes() == b"graph"
    assert json.loads((target / "7" / "assets.extra" / "evaluation.json").read_text()) == SCORES
    assert report == {"pushed": True, "version": 7, "path": str(target / "7"), "reasons": []}
    assert str(target / "7") in run.result.summary


def test_the_copy_says_how_good_the_model_is_and_counts_as_the_same_model(inputs, tmp_path):
    (inputs["saved_model"] / "assets.extra").mkdir()
    (inputs["saved_model"] / "assets.extra" / "embedding_info.json").write_text("{}")
    for config in (PusherConfig(destination=str(tmp_path / "served"), version=7), PusherConfig(version=7)):
        run, _ = _push(config, inputs, tmp_path / "run")
        copy = (epath.Path(config.destination) if config.destination else run.outputs["pushed_model"]) / "7"
        assert json.loads((copy / "assets.extra" / "evaluation.json").read_text()) == SCORES
        assert TrainedLoader(str(copy)).digest() == TrainedLoader(str(inputs["saved_model"])).digest()
        (copy / "assets.extra" / "embedding_info.json").write_text("{ }")
        assert TrainedLoader(str(copy)).digest() != TrainedLoader(str(inputs["saved_model"])).digest()


def test_a_model_that_nobody_has_evaluated_is_pushed_as_it_is(inputs, tmp_path):
    del inputs["evaluation"]
    run, _ = _push(PusherConfig(version=7), inputs, tmp_path / "run")
    copy = run.outputs["pushed_model"] / "7"
    assert {path.name for path in copy.iterdir()} == {"saved_model.pb", "variables"}


def test_without_a_destination_the_model_stays_in_the_output(inputs, tmp_path):
    run, report = _push(PusherConfig(), inputs, tmp_path / "run")
    assert (run.outputs["pushed_model"] / str(report["version"]) / "saved_model.pb").exists()
    assert report["version"] > 1_600_000_000


@pytest.mark.parametrize(
    ("channel", "blessing", "reason"),
    [
        ("blessing", {"blessed": False, "reasons": ["no better than mfcc"]}, "no better than mfcc"),
        ("infra_blessing", {"blessed": False, "checks": {"silence": {"passed": False, "detail": ""}}}, "silence"),
    ],
)
def test_without_a_blessing_the_stage_succeeds_and_pushes_nothing(inputs, tmp_path, channel, blessing, reason):
    _bless(inputs, channel, blessing)
    target = tmp_path / "serving"
    run, report = _push(PusherConfig(destination=str(target), version=1), inputs, tmp_path / "run")
    assert not target.exists()
    assert not report["pushed"]
    assert run.result.summary.startswith("not pushed")
    assert reason in run.result.summary


def test_a_version_is_never_overwritten(inputs, tmp_path):
    config = PusherConfig(destination=str(tmp_path / "serving"), version=1)
    _push(config, inputs, tmp_path / "first")
    with pytest.raises(UserError, match=r"pusher\.version"):
        harness.execute(Pusher(config), tmp_path / "second", **inputs)


def test_a_push_replaces_the_incomplete_copy_of_an_interrupted_one(inputs, tmp_path):
    incomplete = tmp_path / "serving" / "incomplete-1"
    incomplete.mkdir(parents=True)
    (incomplete / "stale").write_text("")
    _push(PusherConfig(destination=str(tmp_path / "serving"), version=1), inputs, tmp_path / "run")
    assert not incomplete.exists()
    assert not (tmp_path / "serving" / "1" / "stale").exists()


def test_a_destination_that_is_a_file_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"pusher\.destination"):
        Pusher(PusherConfig(destination=str(tmp_path / "file"))).check()
    with pytest.raises(UserError, match=r"pusher\.destination foo://x cannot be used"):
        Pusher(PusherConfig(destination="foo://x")).check()


def _start(inputs, folder, destination, *flags):
    """Starts a push in its own process."""
    command = [sys.executable, "-m", "tests.components.pusher.program", str(inputs["blessing"].parent), str(folder)]
    return subprocess.Popen([*command, destination, *flags], cwd=REPOSITORY)


class TestBuckets:
    def test_the_file_that_makes_a_version_visible_is_copied_last(self, inputs, tmp_path, monkeypatch):
        written = []
        (inputs["saved_model"] / "zz_last_by_name").write_text("")
        Bucket(tmp_path / "buckets", before_write=written.append).install(monkeypatch)
        config = PusherConfig(destination="gs://bucket/served", version=3)
        _, report = _push(config, inputs, tmp_path / "run")
        assert report["path"] == "gs://bucket/served/3"
        assert [name for name in written if name.startswith("gs://bucket/served/")] == [
            "gs://bucket/served/3/assets.extra/evaluation.json",
            "gs://bucket/served/3/variables/variables.index",
            "gs://bucket/served/3/zz_last_by_name",
            "gs://bucket/served/3/saved_model.pb",
        ]
        with pytest.raises(UserError, match=r"gs://bucket/served/3 exists already: choose another pusher\.version"):
            _push(config, inputs, tmp_path / "second")

    @pytest.mark.slow
    def test_a_copy_that_was_killed_is_not_visible_and_is_removed(self, inputs, tmp_path, monkeypatch):
        flags = ["--bucket", str(tmp_path / "buckets"), "--kill-at", "/saved_model.pb"]
        killed = _start(inputs, tmp_path / "run", "gs://bucket/served", *flags)
        assert killed.wait(60) == -signal.SIGKILL
        served = tmp_path / "buckets" / "bucket" / "served"
        (half,) = served.iterdir()
        assert sorted(path.name for path in half.iterdir()) == ["assets.extra", "variables"]
        Bucket(tmp_path / "buckets").install(monkeypatch)
        _, report = _push(PusherConfig(destination="gs://bucket/served"), inputs, tmp_path / "run")
        (version,) = served.iterdir()
        assert version.name == str(report["version"])
        assert (version / "saved_model.pb").exists()


class TestCloudStorage:
    @pytest.mark.parametrize("source", ["this machine", "a bucket"])
    def test_the_file_that_makes_a_version_visible_comes_when_all_others_are_there(
        self, inputs, tmp_path, buckets, source
    ):
        for number in range(40):
            (inputs["saved_model"] / "variables" / f"part-{number}").write_text("x" * number)
        if source == "a bucket":
            storage.copy_tree(inputs["saved_model"], epath.Path("gs://bucket/model"))
            inputs = {**inputs, "saved_model": "gs://bucket/model"}
        _, report = _push(PusherConfig(destination="gs://bucket/served", version=3), inputs, tmp_path / "run")
        assert report["path"] == "gs://bucket/served/3"
        files = google_storage.list_files("gs://bucket/served/3")
        assert len(files) == 43
        assert max(files, key=lambda name: files[name].generation) == "saved_model.pb"
        with pytest.raises(UserError, match=r"gs://bucket/served/3 exists already: choose another pusher\.version"):
            _push(PusherConfig(destination="gs://bucket/served", version=3), inputs, tmp_path / "second")

    def test_in_an_output_in_a_bucket_it_comes_last_too(self, inputs, buckets):
        (inputs["saved_model"] / "zz_last_by_name").write_text("")
        _push(PusherConfig(version=3), inputs, epath.Path("gs://bucket/run"))
        files = google_storage.list_files("gs://bucket/run")
        model = {name: file for name, file in files.items() if "/3/" in name}
        assert len(model) == 4
        assert max(model, key=lambda name: files[name].generation).endswith("/3/saved_model.pb")

    def test_a_bucket_that_refuses_is_named_with_the_reason(self, buckets):
        buckets.disturb(always=403)
        with pytest.raises(UserError) as caught:
            Pusher(PusherConfig(destination="gs://bucket/served")).check()
        reason = "the service refuses these credentials"
        assert str(caught.value) == f"pusher.destination gs://bucket/served cannot be used ({reason}): give another."


def test_a_local_copy_that_was_killed_is_not_visible_and_is_removed(inputs, tmp_path):
    for number in range(1000):
        (inputs["saved_model"] / f"asset-{number}").write_text("")
    served = tmp_path / "served"
    process = _start(inputs, tmp_path / "run", str(served))
    (half,) = wait_until(lambda: served.exists() and list(served.iterdir()))
    process.kill()
    process.wait()
    assert half.name.startswith("incomplete-")
    assert not (served / half.name.removeprefix("incomplete-")).exists()
    _, report = _push(PusherConfig(destination=str(served)), inputs, tmp_path / "run")
    assert os.listdir(served) == [str(report["version"])]


def test_a_push_that_was_killed_before_its_record_is_not_repeated(inputs, tmp_path):
    config = PusherConfig(destination=str(tmp_path / "served"), version=7)
    first, _ = _push(config, inputs, tmp_path / "run")
    assert (first.context.work_dir / "push.json").exists()
    _, report = _push(config, inputs, tmp_path / "run")
    assert report["pushed"]
    assert os.listdir(tmp_path / "served") == ["7"]


@pytest.fixture
def destination(tmp_path):
    """A folder that holds a version in the far future, and names that are no versions."""
    folder = tmp_path / "serving"
    for name in ("99999999999", "1", "incomplete-999999999999", "v5", "\u00b2"):
        (folder / name).mkdir(parents=True)
    (folder / "999999999999").write_text("a file is no version")
    return folder


def test_a_version_lower_than_the_one_being_served_is_said(inputs, tmp_path, destination):
    run, report = _push(PusherConfig(destination=str(destination), version=7), inputs, tmp_path / "run")
    assert report["pushed"]
    assert (destination / "7" / "saved_model.pb").exists()
    assert run.result.summary == (
        f"pushed to {destination}/7; version 99999999999 is there already and higher, so a server goes on serving "
        "that: remove it, or set pusher.version above it or to null"
    )


def test_the_time_gives_way_to_a_higher_version(inputs, tmp_path, destination):
    run, report = _push(PusherConfig(destination=str(destination)), inputs, tmp_path / "run")
    assert report["version"] == run.result.figures["version"] == 100000000000
    assert (destination / "100000000000" / "saved_model.pb").exists()
    assert "the number after 99999999999, because the time, " in run.result.summary


def test_no_version_is_larger_than_servers_and_the_metadata_can_keep(inputs, tmp_path):
    with pytest.raises(ValueError, match="less than or equal to 9223372036854775807"):
        PusherConfig(version=2**63)
    (tmp_path / "serving" / str(2**63)).mkdir(parents=True)
    _, report = _push(PusherConfig(destination=str(tmp_path / "serving")), inputs, tmp_path / "run")
    assert report["version"] < 2**40
    (tmp_path / "serving" / str(2**63 - 1)).mkdir()
    with pytest.raises(UserError, match=r"holds the version 9223372036854775807, and no higher one fits into 64 bits"):
        _push(PusherConfig(destination=str(tmp_path / "serving")), inputs, tmp_path / "another")


def test_nothing_is_said_about_a_version_that_is_the_highest(inputs, tmp_path):
    folder = tmp_path / "serving"
    (folder / "6").mkdir(parents=True)
    run, _ = _push(PusherConfig(destination=str(folder), version=7), inputs, tmp_path / "run")
    assert run.result.summary == f"pushed to {folder}/7"
