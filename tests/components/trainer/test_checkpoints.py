import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from etils import epath

from components.errors import UserError
from components.trainer.checkpoints import Checkpoints, Standing


def _state(folder, *, keep=2, size=1000, **options):
    """A step and a variable, with the checkpoints of both."""
    step = keras.Variable(0, dtype="int64", trainable=False)
    weights = keras.Variable(np.zeros(size, "float32"))
    return weights, step, Checkpoints(epath.Path(folder), variables=[weights, step], step=step, keep=keep, **options)


def _advance(weights, step, checkpoints, *, to, save=True):
    weights.assign(np.full(weights.shape, float(to)))
    step.assign(to)
    if save:
        checkpoints.save()


def _names(folder):
    return sorted(path.name for path in epath.Path(folder).iterdir())


def test_the_newest_and_the_best_are_kept_and_read_back(tmp_path):
    weights, step, checkpoints = _state(tmp_path)
    for to in (1, 2, 3, 4):
        _advance(weights, step, checkpoints, to=to)
        if to in (1, 2):
            checkpoints.save_best(Standing(step=to, score=0.5))
    assert _names(tmp_path) == ["best-00000002", "step-00000003", "step-00000004"]
    again, _, resumed = _state(tmp_path)
    assert resumed.step == resumed.last_saved == 4
    assert resumed.standing == Standing(step=2, score=0.5)
    np.testing.assert_array_equal(again.numpy(), 4.0)
    assert resumed.restore_best() == 2
    np.testing.assert_array_equal(again.numpy(), 2.0)


def test_a_best_one_that_is_newer_than_all_others_is_gone_on_from(tmp_path):
    weights, step, checkpoints = _state(tmp_path)
    _advance(weights, step, checkpoints, to=1)
    _advance(weights, step, checkpoints, to=2, save=False)
    checkpoints.save_best(Standing(step=2, score=0.5))
    assert _state(tmp_path)[2].step == 2


def test_saving_twice_at_a_step_writes_once(tmp_path):
    weights, step, checkpoints = _state(tmp_path)
    _advance(weights, step, checkpoints, to=1)
    before = (tmp_path / "step-00000001" / "checkpoint.json").stat().st_mtime_ns
    checkpoints.save()
    assert (tmp_path / "step-00000001" / "checkpoint.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", ["cut", "alter", "remove the data", "remove the record", "garble the record"])
def test_a_damaged_latest_falls_back_to_the_one_before_loudly(tmp_path, caplog, damage):
    weights, step, checkpoints = _state(tmp_path)
    for to in (1, 2):
        _advance(weights, step, checkpoints, to=to)
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
    else:
        (latest / "checkpoint.json").write_text("{")
    again, _, resumed = _state(tmp_path)
    assert resumed.step == 1
    np.testing.assert_array_equal(again.numpy(), 1.0)
    (error,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert error.startswith(f"the checkpoint {latest} is damaged and passed over: ")
    # It is set aside, and what is saved from here on is not pruned in its favour.
    assert _names(tmp_path) == ["damaged-step-00000002", "step-00000001"]
    _advance(again, resumed._step, resumed, to=2)
    assert _state(tmp_path)[2].step == 2


def test_without_one_that_is_whole_nothing_begins_anew_by_itself(tmp_path):
    weights, step, checkpoints = _state(tmp_path)
    _advance(weights, step, checkpoints, to=1)
    (tmp_path / "step-00000001" / "checkpoint.json").unlink()
    with pytest.raises(UserError, match=f"No checkpoint in {tmp_path} is whole: remove it to train anew"):
        _state(tmp_path)


def test_what_was_half_written_is_no_checkpoint_and_is_removed(tmp_path):
    weights, step, checkpoints = _state(tmp_path)
    _advance(weights, step, checkpoints, to=1)
    (tmp_path / "step-00000002.writing").mkdir()
    assert _state(tmp_path)[2].step == 1
    assert _names(tmp_path) == ["step-00000001"]


def test_one_of_another_model_is_refused_and_not_half_restored(tmp_path):
    weights, step, checkpoints = _state(tmp_path)
    _advance(weights, step, checkpoints, to=1)
    with pytest.raises(UserError, match="step-00000001 is of another model or optimiser: remove"):
        _state(tmp_path, size=999)
    assert _names(tmp_path) == ["step-00000001"]


def test_a_best_one_that_is_gone_is_not_silently_replaced_by_the_last(tmp_path):
    weights, step, checkpoints = _state(tmp_path)
    _advance(weights, step, checkpoints, to=1)
    checkpoints.save_best(Standing(step=1, score=0.5))
    _advance(weights, step, checkpoints, to=2)
    (tmp_path / "best-00000001").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="best-00000001 is gone or damaged: put it back"):
        checkpoints.restore_best()


@pytest.mark.parametrize("damaged", [False, True])
def test_a_resumed_run_says_so_when_the_best_one_is_gone_and_chooses_anew(tmp_path, caplog, damaged):
    weights, step, checkpoints = _state(tmp_path)
    _advance(weights, step, checkpoints, to=1)
    checkpoints.save_best(Standing(step=1, score=0.5, looked=1))
    _advance(weights, step, checkpoints, to=2)
    if damaged:
        (tmp_path / "best-00000001" / "state.index").write_text("")
    else:
        (tmp_path / "best-00000001").rename(tmp_path / "elsewhere")
    _, _, resumed = _state(tmp_path)
    assert (resumed.step, resumed.standing) == (2, Standing(looked=1))
    (error,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "best-00000001 is gone or damaged" in error
    assert "chosen anew" in error
    assert resumed.restore_best() == 2


def test_of_several_processes_one_writes_and_all_read(tmp_path):
    weights, step, checkpoints = _state(tmp_path)
    other_weights, other_step, other = _state(tmp_path, writes=False)
    _advance(other_weights, other_step, other, to=1)
    assert not _names(tmp_path)
    for to in (1, 2, 3):
        _advance(weights, step, checkpoints, to=to)
        checkpoints.save_best(Standing(step=to, score=0.5))
    # What another is about to replace is not for the readers to remove.
    names = ["best-00000003", "step-00000002", "step-00000003"]
    for to in (4, 5):
        _advance(other_weights, other_step, other, to=to)
        other.save_best(Standing(step=to, score=0.6))
    assert _names(tmp_path) == names
    assert _state(tmp_path, writes=False)[2].step == 3


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    weights, step, checkpoints = _state(tmp_path / "file" / "checkpoints")
    with pytest.raises(UserError, match=r"The checkpoint of step 1 cannot be written to .*there is none before it"):
        _advance(weights, step, checkpoints, to=1)


FULL = """
import resource, signal, sys
from tests.components.trainer.test_checkpoints import _advance, _state
from components.errors import UserError
weights, step, checkpoints = _state(sys.argv[1], size=1_000_000)
_advance(weights, step, checkpoints, to=1)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))  # a write of 4 MB fails on its way, as on a full disk
try:
    _advance(weights, step, checkpoints, to=2)
except UserError as error:
    print(error)
"""


def test_a_disk_that_is_full_leaves_the_last_good_one(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "The checkpoint of step 2 cannot be written" in done.stdout
    assert "that of step 1 is kept. Make room" in done.stdout
    assert json.loads((tmp_path / "step-00000001" / "checkpoint.json").read_text())["step"] == 1
    assert _state(tmp_path, size=1_000_000)[2].step == 1
