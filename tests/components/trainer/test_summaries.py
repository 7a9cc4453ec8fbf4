import time

import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from tensorboard import context
from tensorboard.backend.event_processing import data_provider, event_accumulator, plugin_event_multiplexer
from tensorboard.data import server_ingester
from tensorboard.util import grpc_util

from components import file_errors, tensorboard
from components.errors import UserError
from components.trainer import summaries
from components.trainer.model import build_model
from tests import users
from tests.components.trainer import trainer_runs


@pytest.mark.parametrize("formats", ["waveform+spectrogram", "log_mel+mfcc", "log_mel+log_mel"])
def test_the_inputs_of_both_encoders_can_be_seen_and_heard(formats, tmp_path):
    config = trainer_runs.config(
        model__formats=formats,
        model__share_encoder=False,
        model__augment_a__time_mask_seconds=0.1,
        model__augment_b__frequency_mask=5,
    )
    batch = {name: np.ones((5, 8000), np.int16) for name in "ab"} | {"clip_id": tf.constant(["clip"] * 5)}
    log = summaries.TrainingLog(epath.Path(tmp_path), history=epath.Path(tmp_path / "history.csv"), first=0)
    log.encoder_inputs(build_model(config.model, seed=0), batch)
    log.close(epath.Path(tmp_path / "copy.csv"))
    pictures = {name: "log_mel" if name == "waveform" else "spectrum" for name in formats.split("+")}
    expected = {
        f"views/{i}_{branch}_{name}/{kind}"
        for i in range(4)
        for branch, name in zip("ab", formats.split("+"), strict=True)
        for kind in ("audio", pictures[name])
    }
    assert _tags(tmp_path) == expected


def test_a_resumed_run_does_not_draw_its_curves_twice(tmp_path):
    """The first run is killed after it has logged step 3: it does not close its log."""
    folder, history = epath.Path(tmp_path / "events"), epath.Path(tmp_path / "history.csv")

    def log_steps(*steps, first):
        time.sleep(1.1)  # The names of event files order them by the second in which a run began.
        log = summaries.TrainingLog(folder, history=history, first=first)
        for step in steps:
            log.training(step, {"loss": 10.0 * first + step}, times={})
        return log

    assert not log_steps(1, 2, 3, first=0).is_continued
    assert log_steps(3, 4, first=2).is_continued
    for read in (_points, _served_points, _fast_served_points):
        assert read(folder, "train/loss") == [(1, 1.0), (2, 2.0), (3, 23.0), (4, 24.0)], read
    log_steps(1, first=0)
    for read in (_points, _served_points, _fast_served_points):
        assert read(folder, "train/loss") == [(1, 1.0)], read
    assert [line.partition(",")[0] for line in history.read_text().splitlines()] == ["step", "1"]


def _log(folder, history, *, first, steps=()):
    log = summaries.TrainingLog(epath.Path(folder), history=epath.Path(history), first=first)
    for step in steps:
        log.training(step, {"loss": float(step)}, times={})
    return log


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace(",", ";"),
        lambda text: text.replace("\n1,1", "\nnote: good,1"),
        lambda text: text.replace("\n1,1", '\n1,"1,0"'),
        lambda text: text.replace("\n1,1", '\n1,"1'),
        lambda text: text.encode("utf-16"),
        lambda text: "",
    ],
    ids=["semicolons", "remark", "decimal comma", "quote", "encoding", "empty"],
)
def test_a_history_that_was_edited_is_said_and_begins_anew(tmp_path, caplog, edit):
    history = tmp_path / "history.csv"
    _log(tmp_path, history, first=0, steps=(1, 2))
    edited = edit(history.read_text())
    history.write_bytes(edited if isinstance(edited, bytes) else edited.encode())
    log = _log(tmp_path, history, first=2, steps=(3,))
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith(f"{history} was edited and cannot be read (")
    assert warning.endswith("): the curves in the new one begin where the training goes on")
    assert log.last["loss"] == 3.0
    assert [line.partition(",")[0] for line in history.read_text().splitlines()] == ["step", "3"]


def test_a_history_that_a_spreadsheet_has_saved_is_taken(tmp_path, caplog):
    """With a mark of the byte order, Windows' ends of lines, a column more and one less."""
    history = tmp_path / "history.csv"
    _log(tmp_path, history, first=0, steps=(1, 2))
    rows = [line.rpartition(",")[0] + ",good" for line in history.read_text().split()]
    history.write_bytes("\r\n".join(rows).encode("utf-8-sig"))
    log = _log(tmp_path, history, first=2)
    assert (log.last["step"], log.last["loss"]) == (2.0, 2.0)
    assert np.isnan(log.last["device_ms"])
    log = _log(tmp_path, history, first=2, steps=(3,))
    assert [line.partition(",")[0] for line in history.read_text().splitlines()] == ["step", "1", "2", "3"]
    assert not caplog.records


def test_event_files_without_later_steps_are_left_alone(tmp_path):
    """Writing them again would take a download and an upload on Cloud Storage."""
    _log(tmp_path, tmp_path / "history.csv", first=0, steps=(1, 2)).close(epath.Path(tmp_path / "copy.csv"))
    (file,) = tmp_path.glob("events*")
    before = file.stat().st_ino, file.stat().st_mtime_ns, file.read_bytes()
    _log(tmp_path, tmp_path / "history.csv", first=2)
    assert (file.stat().st_ino, file.stat().st_mtime_ns, file.read_bytes()) == before
    assert not list(tmp_path.glob("*.writing"))


def test_a_cut_event_file_is_written_again_and_a_damaged_one_stays(tmp_path, caplog):
    _log(tmp_path, tmp_path / "history.csv", first=0, steps=(1, 2, 3)).close(epath.Path(tmp_path / "copy.csv"))
    (file,) = tmp_path.glob("events*")
    whole = file.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    file.write_bytes(damaged)
    tensorboard.drop_from(tmp_path, 3)
    assert file.read_bytes() == damaged
    (warning,) = [record.getMessage() for record in caplog.records]
    assert f"the event file {file} is damaged and stays as it is: " in warning
    file.write_bytes(whole[:-10])
    tensorboard.drop_from(tmp_path, 3)
    assert [step for step, _ in _points(tmp_path, "train/loss")] == [1, 2]
    assert len(caplog.records) == 1


@users.needs_root
def test_a_tensorboard_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    folder, history = tmp_path / "events", tmp_path / "history.csv"
    _log(folder, history, first=0, steps=(1, 2, 3)).close(epath.Path(tmp_path / "copy.csv"))
    for first in (2, 3):  # With and without something to drop.
        with (
            users.permissions(folder, 0o555),
            pytest.raises(UserError, match=rf"^{folder}.*permission denied"),
            file_errors.as_user_errors(place="unknown"),  # As the runner does.
        ):
            _log(folder, history, first=first)


def _points(folder, tag):
    """Reads the points of a scalar with TensorBoard's library."""
    events = event_accumulator.EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in events.Tensors(tag)]


def _served_points(folder, tag):
    """Reads the points that TensorBoard serves if it reads event files in Python (`--load_fast=false`)."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    return _provided(data_provider.MultiplexerDataProvider(multiplexer, str(folder)), tag)


def _fast_served_points(folder, tag):
    """Reads the points that TensorBoard serves by default, when a server of its own reads the event files."""
    ingester = server_ingester.SubprocessServerDataIngester(
        server_binary=server_ingester.get_server_binary(),
        logdir=str(folder),
        reload_interval=0,
        channel_creds_type=grpc_util.ChannelCredsType.LOCAL,
    )
    ingester.start()
    return _provided(ingester.data_provider, tag)


def _provided(provider, tag):
    arguments = {"experiment_id": "", "plugin_name": "scalars"}
    points = provider.read_scalars(context.RequestContext(), downsample=100, **arguments)
    return [(point.step, point.value) for run in points.values() for point in run[tag]]


def _tags(folder):
    events = event_accumulator.EventAccumulator(str(folder))
    events.Reload()
    return {tag for tags in events.Tags().values() if isinstance(tags, list) for tag in tags}
