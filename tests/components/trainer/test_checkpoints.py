import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from beam_jobs import storage
from components.errors import DamagedFile, UserError
from components.trainer.validation_state import ValidationState
from tests import users
from tests.bucket import Bucket
from tests.components.trainer import saved_state
from tests.components.trainer.saved_state import advance, open_state


def _names(folder):
    return sorted(path.name for path in epath.Path(folder).iterdir())


def test_the_newest_and_the_best_are_kept_and_read_back(tmp_path):
    weights, step, checkpoints = open_state(tmp_path)
    for to in (1, 2, 3, 4):
        advance(weights, step, checkpoints, to=to)
        if to in (1, 2):
            checkpoints.save_best(ValidationState(best_step=to, best_score=0.5))
    assert _names(tmp_path) == ["best-00000002", "step-00000003", "step-00000004"]
    saved = json.loads((tmp_path / "best-00000002" / "checkpoint.json").read_text())
    assert saved["standing"] == {"step": 2, "score": 0.5, "metric": None, "waited": 0, "looked": 0}
    again, _, resumed = open_state(tmp_path)
    assert resumed.step == resumed.last_saved == 4
    assert resumed.validation_state == ValidationState(best_step=2, best_score=0.5)
    np.testing.assert_array_equal(again.numpy(), 4.0)
    assert resumed.restore_best() == 2
    np.testing.assert_array_equal(again.numpy(), 2.0)


def test_a_run_resumes_from_the_best_checkpoint_if_it_is_the_newest(tmp_path):
    weights, step, checkpoints = open_state(tmp_path)
    advance(weights, step, checkpoints, to=1)
    advance(weights, step, checkpoints, to=2, save=False)
    checkpoints.save_best(ValidationState(best_step=2, best_score=0.5))
    assert open_state(tmp_path)[2].step == 2


def test_saving_twice_at_a_step_writes_once(tmp_path):
    weights, step, checkpoints = open_state(tmp_path)
    advance(weights, step, checkpoints, to=1)
    before = (tmp_path / "step-00000001" / "checkpoint.json").stat().st_mtime_ns
    checkpoints.save()
    assert (tmp_path / "step-00000001" / "checkpoint.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "damage", ["cut", "alter", "remove the data", "remove the record", "a digest without a size", "garble the record"]
)
def test_a_damaged_checkpoint_is_reported_and_the_one_before_is_restored(tmp_path, caplog, damage):
    weights, step, checkpoints = open_state(tmp_path)
    for to in (1, 2):
        advance(weights, step, checkpoints, to=to)
    latest = tmp_path / "step-00000002"
    (data,) = latest.glob("state.data-*")
    if damage == "cut":
        data.write_bytes(data.read_bytes()[:-100])
    elif damage == "alter":
        data.write_bytes(b"x" + data.read_bytes()[1:])
    elif damage == "remove the data":
        data.unlink()
    elif damage == "remove the record":
        (latest / "checkpoint.json").unlink()
    elif damage == "a digest without a size":
        record = json.loads((latest / "checkpoint.json").read_text())
        record["files"] = {name: digest[:1] for name, digest in record["files"].items()}
        (latest / "checkpoint.json").write_text(json.dumps(record))
    else:
        (latest / "checkpoint.json").write_text("{")
    again, _, resumed = open_state(tmp_path)
    assert resumed.step == 1
    np.testing.assert_array_equal(again.numpy(), 1.0)
    (error,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert error.startswith(f"the checkpoint {latest} is damaged and skipped: ")
    # It is renamed, so that it does not count among the newest when later checkpoints are pruned.
    assert _names(tmp_path) == ["damaged-step-00000002", "step-00000001"]
    advance(again, resumed._step, resumed, to=2)
    assert open_state(tmp_path)[2].step == 2


def test_a_checkpoint_that_cloud_storage_cannot_read_now_is_not_skipped(tmp_path, monkeypatch):
    weights, step, checkpoints = open_state(tmp_path)
    for to in (1, 2):
        advance(weights, step, checkpoints, to=to)

    def unavailable(path):
        if "00000002" in str(path):
            raise tf.errors.UnavailableError(None, None, "503")
        return file_digest(path)

    file_digest = storage.file_digest
    with monkeypatch.context() as patched:
        patched.setattr(storage, "file_digest", unavailable)
        with pytest.raises(UserError, match=r"step-00000002 cannot be read \(503\), and nothing is changed: make it"):
            open_state(tmp_path)
    assert _names(tmp_path) == ["step-00000001", "step-00000002"]
    assert open_state(tmp_path)[2].step == 2


@pytest.mark.parametrize("unreadable", ["", "step-00000002", "step-00000002/checkpoint.json"])
def test_a_checkpoint_without_permission_to_read_is_not_skipped(tmp_path, unreadable):
    folder = tmp_path / "checkpoints"
    weights, step, checkpoints = open_state(folder)
    for to in (1, 2):
        advance(weights, step, checkpoints, to=to)
    with (
        users.permissions(folder / unreadable, 0),
        pytest.raises(UserError, match=r"cannot be read \(Permission denied\)"),
    ):
        open_state(folder)
    assert open_state(folder)[2].step == 2


@pytest.mark.parametrize(
    "name", ["run [1]", "a*", "what?", "back\\slash", "[", "%20", "two\nlines", 'it\'s "q"', "-x", "{a,b}", "ñ" * 100]
)
def test_a_run_resumes_in_a_folder_of_any_name(tmp_path, caplog, name):
    weights, step, checkpoints = open_state(tmp_path / name)
    advance(weights, step, checkpoints, to=1)
    checkpoints.save_best(ValidationState(best_step=1, best_score=0.5))
    advance(weights, step, checkpoints, to=2)
    again, _, resumed = open_state(tmp_path / name)
    assert resumed.step == 2
    np.testing.assert_array_equal(again.numpy(), 2.0)
    assert resumed.restore_best() == 1
    np.testing.assert_array_equal(again.numpy(), 1.0)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert _names(tmp_path / name) == ["best-00000001", "step-00000001", "step-00000002"]


def test_training_does_not_start_from_the_first_step_by_itself_if_all_checkpoints_are_damaged(tmp_path):
    weights, step, checkpoints = open_state(tmp_path)
    advance(weights, step, checkpoints, to=1)
    (tmp_path / "step-00000001" / "checkpoint.json").unlink()
    for _ in range(2):  # The same command again ends in the same way.
        with pytest.raises(DamagedFile, match=f"All checkpoints in {tmp_path} are damaged: remove it to train"):
            open_state(tmp_path)
    # Nor if a run of an older version has set them aside.
    (tmp_path / "step-00000001").rename(tmp_path / "damaged-step-00000001")
    with pytest.raises(DamagedFile):
        open_state(tmp_path)


class _VariablesInBucket:
    """Writes and reads the variables of checkpoints in a bucket for tests, which TensorFlow's operations do not see."""

    def __init__(self, checkpoint, bucket):
        self._checkpoint, self._bucket = checkpoint, bucket

    def write(self, name):
        return self._checkpoint.write(self._bucket.local(name))

    def read(self, name):
        return self._checkpoint.read(self._bucket.local(name))


def test_in_a_bucket_a_checkpoint_is_finished_when_it_has_its_record(tmp_path, monkeypatch, caplog):
    """There a folder is renamed file by file, so that a killed run would leave a half of it."""

    def stop_at_the_third(name):
        if "step-00000003" in name:
            raise KeyboardInterrupt

    bucket = Bucket(tmp_path, before_write=stop_at_the_third)
    bucket.install(monkeypatch)
    make = tf.train.Checkpoint
    monkeypatch.setattr(tf.train, "Checkpoint", lambda **parts: _VariablesInBucket(make(**parts), bucket))
    weights, step, checkpoints = open_state("gs://bucket/checkpoints")
    for to in (1, 2):
        advance(weights, step, checkpoints, to=to)
    checkpoints.save_best(ValidationState(best_step=2, best_score=0.5))
    with pytest.raises(KeyboardInterrupt):
        advance(weights, step, checkpoints, to=3)
    assert _names(tmp_path / "bucket" / "checkpoints" / "step-00000003") == ["state.data-00000-of-00001", "state.index"]
    again, _, resumed = open_state("gs://bucket/checkpoints")
    assert (resumed.step, resumed.validation_state.best_step) == (2, 2)
    np.testing.assert_array_equal(again.numpy(), 2.0)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert _names("gs://bucket/checkpoints") == ["best-00000002", "step-00000001", "step-00000002"]


def test_an_unfinished_checkpoint_is_ignored_and_removed(tmp_path):
    weights, step, checkpoints = open_state(tmp_path)
    advance(weights, step, checkpoints, to=1)
    (tmp_path / "step-00000002.writing").mkdir()
    assert open_state(tmp_path)[2].step == 1
    assert _names(tmp_path) == ["step-00000001"]


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    weights, step, checkpoints = open_state(tmp_path)
    advance(weights, step, checkpoints, to=1)
    with pytest.raises(UserError, match="step-00000001 is of another model or optimizer: remove"):
        open_state(tmp_path, size=999)
    assert _names(tmp_path) == ["step-00000001"]


def test_a_missing_best_checkpoint_is_not_silently_replaced_by_the_last(tmp_path):
    weights, step, checkpoints = open_state(tmp_path)
    advance(weights, step, checkpoints, to=1)
    checkpoints.save_best(ValidationState(best_step=1, best_score=0.5))
    advance(weights, step, checkpoints, to=2)
    (tmp_path / "best-00000001").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="best-00000001 is gone or damaged: put it back"):
        checkpoints.restore_best()


@pytest.mark.parametrize("damaged", [False, True])
def test_a_resumed_run_reports_a_missing_best_checkpoint_and_chooses_anew(tmp_path, caplog, damaged):
    weights, step, checkpoints = open_state(tmp_path)
    advance(weights, step, checkpoints, to=1)
    checkpoints.save_best(ValidationState(best_step=1, best_score=0.5, last_validated_step=1))
    advance(weights, step, checkpoints, to=2)
    if damaged:
        (tmp_path / "best-00000001" / "state.index").write_text("")
    else:
        (tmp_path / "best-00000001").rename(tmp_path / "elsewhere")
    _, _, resumed = open_state(tmp_path)
    assert (resumed.step, resumed.validation_state) == (2, ValidationState(last_validated_step=1))
    (error,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "best-00000001 is gone or damaged" in error
    assert "chosen again" in error
    assert resumed.restore_best() == 2


def test_of_several_processes_one_writes_and_all_read(tmp_path):
    weights, step, checkpoints = open_state(tmp_path)
    other_weights, other_step, other = open_state(tmp_path, writes=False)
    advance(other_weights, other_step, other, to=1)
    assert not _names(tmp_path)
    for to in (1, 2, 3):
        advance(weights, step, checkpoints, to=to)
        checkpoints.save_best(ValidationState(best_step=to, best_score=0.5))
    # The process that only reads also removes nothing.
    names = ["best-00000003", "step-00000002", "step-00000003"]
    for to in (4, 5):
        advance(other_weights, other_step, other, to=to)
        other.save_best(ValidationState(best_step=to, best_score=0.6))
    assert _names(tmp_path) == names
    assert open_state(tmp_path, writes=False)[2].step == 3


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    weights, step, checkpoints = open_state(tmp_path / "file" / "checkpoints")
    with pytest.raises(UserError, match=r"The checkpoint of step 1 cannot be written to .*there is none before it"):
        advance(weights, step, checkpoints, to=1)


def test_a_full_disk_leaves_the_existing_checkpoints(tmp_path):
    command = [sys.executable, "-m", "tests.components.trainer.saved_state", str(tmp_path)]
    best, newest = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    for step, error in ((1, best), (2, newest)):
        assert error.startswith(f"The checkpoint of step {step} cannot be written")
        assert "that of step 1 is kept. Make room" in error
    resumed = open_state(tmp_path, size=saved_state.LARGE)[2]
    assert (resumed.step, resumed.validation_state.best_score) == (1, 0.5)
    assert resumed.restore_best() == 1
