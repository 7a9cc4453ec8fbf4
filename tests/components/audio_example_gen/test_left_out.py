"""What a user reads about files that are not read, and about labels that were not found."""

import csv

import pytest
from tensorboard.backend.event_processing import event_accumulator

from components.errors import UserError
from tests import corpora, users
from tests.components import harness
from tests.components.audio_example_gen.stage import audio_example_gen

pytestmark = pytest.mark.usefixtures("blank_pictures", "kept_decoders")


def clips_table(run):
    accumulator = event_accumulator.EventAccumulator(str(run.context.tensorboard_dir), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator.Tensors("clips")[0].tensor_proto.string_val[0].decode()


def test_the_summary_and_tensorboard_name_what_is_left_out_and_the_missing_labels(tmp_path):
    source = tmp_path / "source"
    corpora.write_tone(source / "1/2/3/4/a.wav")
    for name in ("a.TXT", "b.txt", "LICENSE", "labels.csv"):
        (source / name).touch()
    (source / "usb").symlink_to("/nowhere")
    run = harness.execute(audio_example_gen(source=str(source)), tmp_path / "run")
    summary = run.result.summary
    assert summary.startswith(
        "1 clip in 1 shard (1 train), 1 quarantined (1 unreadable); left out 2 files that end in "
    )
    assert "in .txt, 1 file that ends in .csv, 1 file without a suffix; no labels were found: " in summary
    assert "(labels.csv has no readable line), so no probe will run" in summary
    table = clips_table(run)
    for line in (
        "| train | 1 |",
        "| left out: files that end in .txt | 2 |",
        "| left out: files without a suffix | 1 |",
    ):
        assert line in table
    assert "no labels were found: " in table
    with (run.outputs["examples"] / "quarantine.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["path"], row["cause"]) == ("usb", "unreadable")


@users.needs_root
def test_a_source_in_a_folder_that_may_not_be_read_is_not_called_missing(tmp_path):
    (tmp_path / "closed" / "source").mkdir(parents=True)
    with (
        users.permissions(tmp_path / "closed", 0),
        pytest.raises(UserError, match=r"source cannot be read \(permission denied\)"),
    ):
        audio_example_gen(source=str(tmp_path / "closed" / "source")).check()
