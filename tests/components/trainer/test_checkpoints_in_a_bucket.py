"""Checkpoints on Cloud Storage, with Google's client for all but the variables."""

import pytest
from etils import epath

from components.errors import DamagedFile, UserError
from components.trainer import checkpoints
from tests import emulated_bucket
from tests.components.trainer import saved_state

FOLDER = "gs://bucket/checkpoints"


def saved(folder):
    weights, step, state = saved_state.open_state(folder)
    saved_state.advance(weights, step, state, to=1)
    return weights, step, state


def test_a_service_that_refuses_is_one_sentence_that_says_what_is_kept(buckets, monkeypatch):
    emulated_bucket.hurry(monkeypatch)
    weights, step, state = saved(FOLDER)
    for refused, kept in (("upload", "that of step 1 is kept"), ("list", "those before it are kept")):
        buckets.disturb(refused=refused)
        with pytest.raises(UserError, match=rf"step 2 cannot be written to .*; {kept}\. Make room"):
            saved_state.advance(weights, step, state, to=2)
    for refused in ("list", "read"):
        buckets.disturb(refused=refused)
        with pytest.raises(UserError, match=r"cannot be read \(the service refuses .*, and nothing is changed"):
            saved_state.open_state(FOLDER)
    buckets.disturb()
    assert saved_state.open_state(FOLDER)[2].step == 1


def test_a_damaged_source_is_refused_again_and_again(buckets):
    _, _, state = saved(FOLDER)
    published, folder = epath.Path("gs://bucket/published"), epath.Path("gs://bucket/longer")
    state.publish(published)
    data = next(published.iterdir()) / "state.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1] + b"x")
    for _ in range(2):
        with pytest.raises(DamagedFile, match="from which this training goes on, is damaged"):
            checkpoints.adopt(published, folder=folder)
        assert not folder.exists()
