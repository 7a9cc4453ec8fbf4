"""Checkpoints of a finished training become those of one with more steps."""

import shutil

import pytest
from etils import epath

from beam_jobs import storage
from components.errors import DamagedFile
from components.trainer import checkpoints
from components.trainer.validation_state import ValidationState
from tests.components.trainer import saved_state


@pytest.fixture(params=["the last step is the best", "an earlier step is the best"])
def published(request, tmp_path):
    """A folder with the checkpoints of a training of three steps."""
    weights, step, saved = saved_state.open_state(tmp_path / "short")
    for number in (1, 2, 3):
        saved_state.advance(weights, step, saved, to=number, save=False)
        if number == 2 or (number == 3 and request.param.startswith("the last")):
            saved.save_best(ValidationState(best_step=number, best_score=0.5 * number, last_validated_step=number))
        saved.save()
    saved.publish(epath.Path(tmp_path / "published"))
    return epath.Path(tmp_path / "published")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def adopted(published, folder):
    checkpoints.adopt(published, folder=epath.Path(folder))
    weights, step, saved = saved_state.open_state(folder)
    assert weights.numpy()[0] == step.numpy()
    return step, saved


def test_the_newest_and_the_best_are_published_and_taken(published, tmp_path):
    assert names(published) in (["best-00000003"], ["best-00000002", "step-00000003"])
    step, saved = adopted(published, tmp_path / "longer")
    assert int(step.numpy()) == 3
    best = saved.validation_state.best_step
    assert saved.restore_best() == best == int(names(published)[0][-1])


def test_a_copy_that_was_cut_short_is_made_again(published, tmp_path):
    folder = tmp_path / "longer"
    for name in names(published):
        (folder / (name + storage.UNFINISHED)).mkdir(parents=True)
        (folder / (name + storage.UNFINISHED) / "state.index").write_text("half")
    step, _ = adopted(published, folder)
    assert int(step.numpy()) == 3
    assert names(folder) == names(published)


def test_a_best_checkpoint_alone_is_not_all(published, tmp_path):
    shutil.copytree(published / names(published)[0], tmp_path / "longer" / names(published)[0])
    step, _ = adopted(published, tmp_path / "longer")
    assert int(step.numpy()) == 3


def test_a_training_that_went_on_keeps_its_own(published, tmp_path):
    weights, step, saved = saved_state.open_state(tmp_path / "longer")
    saved_state.advance(weights, step, saved, to=4)
    step, _ = adopted(published, tmp_path / "longer")
    assert int(step.numpy()) == 4
    assert names(tmp_path / "longer") == ["step-00000004"]


def test_a_damaged_one_is_named_where_it_was_published(published, tmp_path):
    newest = published / names(published)[-1]
    data = newest / "state.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedFile, match=f"The checkpoint {newest}, from which this training goes on, is damaged"):
        adopted(published, tmp_path / "longer")


@pytest.mark.parametrize("name", [".DS_Store", ".nfs0000000000a1", "step-notes.txt"])
def test_what_is_no_checkpoint_is_passed_over(published, tmp_path, name):
    (published / name).write_text("of another program")
    checkpoint_names = [each for each in names(published) if each != name]
    step, _ = adopted(published, tmp_path / "longer")
    assert int(step.numpy()) == 3
    assert names(tmp_path / "longer") == checkpoint_names


@pytest.mark.parametrize("is_there", [True, False])
def test_no_checkpoint_to_go_on_from_is_damage(tmp_path, is_there):
    if is_there:
        (tmp_path / "published").mkdir()
    message = rf"^{tmp_path}/published, from which this training goes on, has no checkpoint: put them back, or"
    with pytest.raises(DamagedFile, match=message):
        adopted(epath.Path(tmp_path / "published"), tmp_path / "longer")
    assert not (tmp_path / "longer").exists()
