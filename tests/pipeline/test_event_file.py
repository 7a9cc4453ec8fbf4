import os
import time

import pytest
from etils import epath
from tensorboard.backend.event_processing import event_accumulator, plugin_event_multiplexer

from pipeline import event_file
from tests import disks, tensorboard_server

TAG = "0 overview"


def texts(events):
    return [event.tensor_proto.string_val[0].decode() for event in events]


def test_tensorboard_shows_the_text(tmp_path):
    text = "# Heading\n\n| a | b |\n| --- | --- |\n| 1 | 2 |"
    event_file.write_texts(epath.Path(tmp_path / "0 overview"), {TAG: text, "other": "x"})
    assert tensorboard_server.check_tags(tmp_path) == {("0 overview", TAG), ("0 overview", "other")}
    with tensorboard_server.serve(tmp_path) as server:
        (shown,) = server.json("data/plugin/text/text", run="0 overview", tag=TAG)
    assert "<h1>Heading</h1>" in shown["text"]
    assert "<td>1</td>" in shown["text"]


def test_a_later_text_takes_the_place_of_the_first(tmp_path):
    for text in ("one", "two", "three"):
        event_file.write_texts(epath.Path(tmp_path), {TAG: text})
    assert len(os.listdir(tmp_path)) == 1
    accumulator = event_accumulator.EventAccumulator(str(tmp_path))
    accumulator.Reload()
    assert texts(accumulator.Tensors(TAG)) == ["three"]


def test_a_running_tensorboard_forgets_the_earlier_text(tmp_path):
    """TensorBoard reads event files in Python with `--load_fast=false`."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    for text in ("one", "two", "three"):
        event_file.write_texts(epath.Path(tmp_path / "0 overview"), {TAG: text})
        multiplexer.AddRunsFromDirectory(str(tmp_path))
        multiplexer.Reload()
        assert texts(multiplexer.Tensors("0 overview", TAG)) == [text]


def test_a_running_fast_tensorboard_forgets_the_earlier_text(tmp_path):
    with tensorboard_server.serve_fast(tmp_path) as server:
        for text in ("one", "two", "three"):
            event_file.write_texts(epath.Path(tmp_path / "0 overview"), {TAG: text})
            deadline = time.monotonic() + 20
            shown: list[str] = []
            while shown != [f"<p>{text}</p>"] and time.monotonic() < deadline:
                time.sleep(0.2)
                shown = [row["text"] for row in server.json("data/plugin/text/text", run="0 overview", tag=TAG)]
            assert shown == [f"<p>{text}</p>"]


def test_the_last_text_stays_if_the_next_cannot_be_written(tmp_path):
    with disks.small(tmp_path / "disk", size="64k") as disk:
        event_file.write_texts(epath.Path(disk / "0 overview"), {TAG: "one"})
        before = os.listdir(disk / "0 overview")
        disks.fill(disk)
        with pytest.raises(OSError, match="No space left"):
            event_file.write_texts(epath.Path(disk / "0 overview"), {TAG: "two"})
        assert set(before) <= set(os.listdir(disk / "0 overview"))
