"""The table of what could not be embedded, and other files in its place."""

import csv
import dataclasses
import os

import numpy as np
import pytest
import soundfile

from components.errors import UserError
from pipeline.serving.embedding import outputs, quarantine
from tests import corpora
from tests.components.stored_examples import write_examples
from tests.pipeline.serving.embedding.projection import FRAMING, Projection, ProjectionLoader, embed_with

HEADER = "file,start_s,end_s,cause,message\n"


@pytest.fixture
def good(tmp_path):
    corpora.write_tone(tmp_path / "in" / "good.wav")
    return tmp_path / "in" / "good.wav"


@pytest.fixture
def bad(tmp_path, good):
    (good.parent / "bad.wav").write_bytes(b"no sound")
    return good.parent / "bad.wav"


def listed(table):
    with table.open() as file:
        return [os.path.basename(row["file"]) for row in csv.DictReader(file)]


def test_a_table_that_is_an_input_is_refused_before_the_work(good, tmp_path):
    manifest = tmp_path / "m.quarantined.csv"
    manifest.write_text("path\nin/good.wav\n")
    with pytest.raises(UserError, match=r"m.quarantined.csv, the table .*, is one of the files to embed: give another"):
        embed_with(ProjectionLoader(), [manifest], tmp_path / "m.npz")
    assert manifest.read_text() == "path\nin/good.wav\n"
    assert sorted(os.listdir(tmp_path)) == ["in", "m.quarantined.csv"]


@pytest.mark.parametrize("content", ["notes\n", "", "file,start_s,end_s,cause,message,mine\n"])
@pytest.mark.parametrize("name", ["good.wav", "bad.wav"])
def test_a_file_of_the_user_is_neither_removed_nor_overwritten(good, bad, tmp_path, content, name):
    (tmp_path / "x.quarantined.csv").write_text(content)
    with pytest.raises(UserError, match=r"x.quarantined.csv, the table .*, is another file: move it, or give another"):
        embed_with(ProjectionLoader(), [good.parent / name], tmp_path / "x.npz")
    assert (tmp_path / "x.quarantined.csv").read_text() == content
    assert not (tmp_path / "x.npz").exists()


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("nowhere", path)])
def test_what_is_no_file_is_refused(good, tmp_path, make):
    make(tmp_path / "x.quarantined.csv")
    with pytest.raises(UserError, match="is another file: move it"):
        embed_with(ProjectionLoader(), [good], tmp_path / "x.npz")


def test_a_file_that_the_user_puts_there_meanwhile_stays(good, tmp_path):
    class Slow(ProjectionLoader):
        def load(self):
            (tmp_path / "x.quarantined.csv").write_text("notes\n")
            return super().load()

    with pytest.raises(UserError, match="is another file: move it"):
        embed_with(Slow(), [good], tmp_path / "x.npz")
    assert (tmp_path / "x.quarantined.csv").read_text() == "notes\n"
    (tmp_path / "x.quarantined.csv").unlink()
    assert embed_with(ProjectionLoader(), [good], tmp_path / "x.npz").clips == 1


def test_a_table_of_an_earlier_run_is_replaced_and_removed(good, bad, tmp_path):
    table = tmp_path / "x.quarantined.csv"
    table.write_text(HEADER + "gone.wav,,,missing,no such file\n")
    embed_with(ProjectionLoader(), [good.parent], tmp_path / "x.npz")
    assert listed(table) == ["bad.wav"]
    embed_with(ProjectionLoader(), [good], tmp_path / "x.npz")
    assert not table.exists()


@pytest.mark.parametrize("name", ["good.wav", "worse.wav"])
def test_the_table_of_another_output_stays(good, bad, tmp_path, name):
    (good.parent / "worse.wav").write_bytes(b"no sound either")
    embed_with(ProjectionLoader(), [good, bad], tmp_path / "z.npz")
    done = embed_with(ProjectionLoader(), [good, good.parent / name], tmp_path / "z.parquet")
    assert listed(tmp_path / "z.quarantined.csv") == ["bad.wav"]
    assert done.table == tmp_path / "z.parquet.quarantined.csv"
    assert done.table.exists() == (name == "worse.wav")
    if done.table.exists():
        assert listed(done.table) == ["worse.wav"]


def test_the_table_of_another_output_that_is_being_written_stays(good, bad, tmp_path):
    (tmp_path / "z.csv.parts").mkdir()
    (tmp_path / "z.quarantined.csv").write_text(HEADER)
    done = embed_with(ProjectionLoader(), [good, bad], tmp_path / "z.npz")
    assert (tmp_path / "z.quarantined.csv").read_text() == HEADER
    assert listed(done.table) == ["bad.wav"]
    (tmp_path / "z.csv.parts").rmdir()
    again = embed_with(ProjectionLoader(), [good, bad], tmp_path / "z.npz")
    assert listed(again.table) == ["bad.wav"]
    assert again.table == tmp_path / "z.quarantined.csv"
    assert not done.table.exists()


def test_a_sound_that_resampling_leaves_nothing_of_costs_no_other(good, tmp_path, monkeypatch):
    soundfile.write(good.parent / "click.wav", np.full(2, 0.1), 96000)
    clips = {"train": [(np.full(samples, 900, np.int16), [], 0) for samples in (1, 4000)]}
    stored = write_examples(tmp_path / "stored", clips)
    monkeypatch.setattr(Projection, "framing", dataclasses.replace(FRAMING, sample_rate=4000))
    done = embed_with(ProjectionLoader(), [good.parent / "click.wav", good, stored], tmp_path / "x.npz")
    assert listed(done.table) == ["click.wav", "train0"]
    assert {entry.cause for entry in done.quarantined} == {"too short"}
    with np.load(tmp_path / "x.npz") as rows:
        assert rows["path"].tolist() == [str(good), "train1"]


def test_a_name_too_long_for_the_table_is_refused_before_the_work(good, tmp_path):
    """`NAME.parts` fits beside such an output, and `NAME.quarantined.csv` does not."""
    with pytest.raises(UserError, match=r"has so long a name that the table .* cannot lie beside it: give a shorter"):
        embed_with(ProjectionLoader(), [good], tmp_path / f"{241 * 'n'}.npz")
    assert os.listdir(tmp_path) == ["in"]


def test_the_longest_name_that_is_taken_has_room_for_its_table(good, bad, tmp_path):
    output = next(path for n in range(241, 0, -1) if fits(path := tmp_path / f"{n * 'n'}.npz"))
    embed_with(ProjectionLoader(), [good, bad], output)
    assert len(os.listdir(tmp_path)) == 3


def fits(output):
    try:
        return bool(quarantine.table_of(output, inputs=[]))
    except UserError:
        return False


def test_every_suffix_of_an_output_is_known():
    assert set(quarantine.SUFFIXES) == set(outputs.WRITERS)
