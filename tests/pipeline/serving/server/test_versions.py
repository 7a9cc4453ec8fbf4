"""New versions, in the way in which the Pusher writes them."""

import concurrent.futures
import shutil
import threading

import numpy as np
import pytest
from etils import epath

from components import base
from components.errors import UserError
from components.pusher import copying
from pipeline.serving.server import models, versions
from pipeline.serving.server.metrics import Metrics
from tests.components.harness import RecordedProgress
from tests.pipeline.serving.server import tiny_model
from tests.pipeline.serving.server.running import PREDICT, ask, running, version_that_loads
from tests.processes import wait_until


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """A SavedModel with other weights."""
    return tiny_model.write(tmp_path_factory.mktemp("second") / "model", seed=1)


@pytest.fixture
def folder(versions, tmp_path):
    """A folder of one's own with the version 7."""
    shutil.copytree(versions, tmp_path / "pushed")
    return tmp_path / "pushed"


def push(saved_model, folder, *, version, work):
    context = base.StageContext(
        work_dir=epath.Path(work), tensorboard_dir=epath.Path(work), progress=RecordedProgress(), earlier_work_dirs=()
    )
    copying.push(epath.Path(saved_model), epath.Path(folder), evaluation=None, version=version, context=context)


def embedding(server, *, version=None):
    path = PREDICT if version is None else PREDICT.replace(":", f"/versions/{version}:")
    answer = ask(server, path, {"instances": [[0.5, -0.25]]})
    assert answer.status_code == 200, answer.text
    return tuple(answer.json()["predictions"][0]["embedding"])


def served(server):
    return ask(server, "/v1/models/diptych/metadata").json()["model_spec"]["version"]


def states(server):
    return ask(server, "/v1/models/diptych").json()["model_version_status"]


def test_a_pushed_version_is_served_and_no_request_is_lost(folder, second, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "POLL_S", 0.05)
    with running(folder) as server:
        old = embedding(server)
        has_changed = threading.Event()

        def keep_asking():
            seen = []
            while not has_changed.is_set() or len(seen) < 3:
                seen.append(embedding(server))
            return [*seen, embedding(server)]

        (tmp_path / "work").mkdir()
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            asking = [threads.submit(keep_asking) for _ in range(4)]
            try:
                push(second, folder, version=12, work=tmp_path / "work")
                wait_until(lambda: served(server) == "12")
            finally:
                has_changed.set()
            answers = [future.result() for future in asking]
        new = embedding(server)
        assert new != old
        for seen in answers:
            # In a batch with others, the last digit may differ.
            is_new = np.isclose(seen, new, atol=1e-4).all(axis=1)
            assert (is_new | np.isclose(seen, old, atol=1e-4).all(axis=1)).all()
            assert is_new[-1]
            assert (np.diff(is_new.astype(int)) >= 0).all()  # Nobody gets the old one again.
        # Who began with a version can go on with it.
        assert embedding(server, version=7) == old
        assert embedding(server, version=12) == new
        assert ask(server, "/v2/models/diptych").json()["versions"] == ["12", "7"]
        assert [state["version"] for state in states(server)] == ["12", "7"]
        shutil.rmtree(folder / "7")
        wait_until(lambda: [state["version"] for state in states(server)] == ["12"])
        refused = ask(server, "/v1/models/diptych/versions/7:predict", {"instances": [[0.5]]})
        assert (refused.status_code, refused.json()["error"]) == (
            404,
            "Version 7 of diptych is not served: ask for version 12, or name none.",
        )


def test_of_three_versions_the_last_two_can_be_asked_for(folder, second, monkeypatch):
    monkeypatch.setattr(models, "POLL_S", 0.05)
    with running(folder) as server:
        for number in (8, 9):
            shutil.copytree(second, folder / "copy")
            (folder / "copy").rename(folder / str(number))
            wait_until(lambda number=number: served(server) == str(number))
        assert [state["version"] for state in states(server)] == ["9", "8"]
        assert ask(server, "/v1/models/diptych/versions/7").status_code == 404


def test_a_version_is_served_although_a_damaged_one_is_newer(folder, second, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "POLL_S", 0.05)
    with running(folder) as server:
        (tmp_path / "9").mkdir()
        (tmp_path / "9" / "saved_model.pb").write_bytes(b"damaged")
        shutil.copytree(second, tmp_path / "8")
        for number in ("9", "8"):
            (tmp_path / number).rename(folder / number)
        wait_until(lambda: served(server) == "8")
        assert [(state["version"], state["state"]) for state in states(server)] == [
            ("9", "END"),
            ("8", "AVAILABLE"),
            ("7", "AVAILABLE"),
        ]


def test_a_version_that_cannot_be_loaded_leaves_the_old_one(folder, monkeypatch):
    monkeypatch.setattr(models, "POLL_S", 0.05)
    with running(folder) as server:
        old = embedding(server)
        shutil.copytree(folder / "7", folder / "incomplete-9")
        (folder / "8").mkdir()  # A bucket's version whose saved_model.pb has not arrived.
        damaged = folder / "9"
        shutil.copytree(folder / "7", folder / "copy")
        (folder / "copy" / "saved_model.pb").write_bytes(b"damaged")
        (folder / "copy").rename(damaged)

        wait_until(lambda: len(states(server)) == 2)
        assert [(state["version"], state["state"]) for state in states(server)] == [("9", "END"), ("7", "AVAILABLE")]
        assert "9" in states(server)[0]["status"]["error_message"]
        assert embedding(server) == old
        shutil.rmtree(damaged)
        wait_until(lambda: len(states(server)) == 1)


def test_a_newest_version_that_cannot_be_loaded_does_not_keep_a_server_from_starting(folder):
    (folder / "9").mkdir()
    (folder / "9" / "saved_model.pb").write_bytes(b"damaged")
    with running(folder) as server:
        assert served(server) == "7"
        assert [(state["version"], state["state"]) for state in states(server)] == [("9", "END"), ("7", "AVAILABLE")]
    shutil.rmtree(folder / "7")
    with pytest.raises(UserError, match="pushed/9"), running(folder):
        pass


def test_the_end_says_if_a_version_is_being_loaded(folder, monkeypatch):
    monkeypatch.setattr(models, "POLL_S", 0.05)
    loaded = models.Models(str(folder), name="diptych", metrics=Metrics())
    loaded.start()
    with version_that_loads(folder, like=7):
        assert not loaded.stop(wait_s=0.1)
    assert loaded.stop(wait_s=60.0)


def test_a_version_that_is_taken_away_is_followed_by_the_one_before(folder, second, monkeypatch):
    monkeypatch.setattr(models, "POLL_S", 0.05)
    shutil.copytree(second, folder / "8")
    with running(folder) as server:
        assert served(server) == "8"
        shutil.rmtree(folder / "8")
        wait_until(lambda: served(server) == "7")
        shutil.rmtree(folder / "7")  # With none left, the last one stays.
        embedding(server)


def test_the_number_of_a_version(folder):
    assert versions.newest(str(folder)) == versions.Version(7, str(folder / "7"))
    assert versions.newest(str(folder / "7")) == versions.Version(7, str(folder / "7"))
    shutil.copytree(folder / "7", folder / "model")
    assert versions.newest(str(folder / "model")) == versions.Version(1, str(folder / "model"))
    shutil.copytree(folder / "7", folder / "10")  # Not in the order of letters.
    assert versions.newest(str(folder)).number == 10


@pytest.mark.parametrize("name", ["nothing", "empty", "file"])
def test_a_model_without_versions_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"holds no SavedModel: give the folder .*, or a \.tflite or \.onnx file"):
        versions.to_begin_with(str(tmp_path / name))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"missing\.tflite does not exist: give the folder"):
        versions.to_begin_with(str(tmp_path / "missing.tflite"))
