import os
import re
import subprocess
import sys

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs import sources
from beam_jobs.sources import files
from tests import corpora
from tests.beam_jobs.sources import list_lightly


def test_esc50_matches_by_stem_and_keeps_the_folds(tmp_path):
    listing = sources.list_clips(corpora.esc50(tmp_path / "esc", clips=10))
    assert listing.layout == "esc50"
    assert listing.label_names == ("class_0", "class_1")
    assert len(listing.clips) == 10
    assert {clip.fold for clip in listing.clips} == {1, 2, 3, 4, 5}
    assert listing.clips[3].path == "audio/4-1003-A-1.ogg"
    assert listing.clips[3].labels == ("class_1",)
    assert not listing.quarantined


def test_other_files_in_the_folder_of_esc50_are_ignored(tmp_path):
    folder = corpora.esc50(tmp_path / "esc", clips=2)
    for name in ("1-1000-A-0.wav", "more.wav"):
        corpora.write_tone(folder / "audio" / name)
    listing = sources.list_clips(folder)
    assert [clip.path for clip in listing.clips] == ["audio/1-1000-A-0.ogg", "audio/2-1001-A-1.ogg"]
    assert listing.ignored == {"audio files that no row of meta/esc50.csv needs": 2}


@pytest.mark.parametrize("layout", ["folder", "esc50", "audioset"])
def test_only_the_files_whose_names_are_not_utf8_are_quarantined(tmp_path, layout):
    """The names of a file, a folder and a list are not UTF-8."""
    folder = corpora.audioset(tmp_path / "as", train=3) if layout == "audioset" else corpora.esc50(tmp_path / "e")
    expected = sources.list_clips(folder, layout=layout)
    os.mkdir(os.fsencode(folder) + b"/f\xfcr")
    for name in (b"caf\xe9.wav", b"f\xfcr/" + f"{corpora.ytid(0)}.wav".encode(), b"caf\xe9_segments.csv"):
        with open(os.fsencode(folder) + b"/" + name, "wb"):
            pass
    listing = sources.list_clips(folder, layout=layout)
    assert listing.clips == expected.clips
    assert listing.ignored == {**expected.ignored, "CSV lists whose name is not UTF-8": 1}
    quarantined = [(row.clip.path, row.cause, row.message) for row in listing.quarantined]
    message = "its name is not UTF-8; rename the file"
    names = ["caf\\xe9.wav", f"f\\xfcr/{corpora.ytid(0)}.wav"]
    assert quarantined == [(name, "unreadable", message) for name in names]


@pytest.mark.parametrize(
    ("category", "what"),
    [
        (b'"class\r0"', "there is a line break in the category 'class\\r0'; remove it"),
        # TFDS would leave the class out, and give its clips the name of the next.
        (b" ", "the category is empty; give one or remove the line"),
    ],
)
def test_a_row_of_esc50_with_a_category_that_cannot_be_stored_is_quarantined(tmp_path, category, what):
    folder = corpora.esc50(tmp_path / "esc", clips=10)
    table = folder / "meta" / "esc50.csv"
    table.write_bytes(table.read_bytes().replace(b"class_0", category, 1))
    listing = sources.list_clips(folder)
    assert (len(listing.clips), listing.label_names) == (9, ("class_0", "class_1"))
    (row,) = listing.quarantined
    assert (row.cause, row.message) == ("malformed row", f"{table}:2: {what}")


def test_a_subset_of_esc50_numbers_its_classes_in_the_order_of_their_targets(tmp_path):
    folder = corpora.esc50(tmp_path / "esc", clips=10)
    table = folder / "meta" / "esc50.csv"
    table.write_text(table.read_text().replace("0,class_0", "41,chainsaw").replace("1,class_1", "10,rain"))
    listing = sources.list_clips(folder)
    assert listing.label_names == ("rain", "chainsaw")
    assert listing.clips[0].labels == ("chainsaw",)


@given(st.sets(st.text(min_size=1), min_size=1, max_size=50))
def test_the_split_depends_on_the_id_alone(ids):
    assert {clip_id: sources.split_of(clip_id) for clip_id in ids} == {i: sources.split_of(i) for i in sorted(ids)}


def test_about_one_clip_in_twenty_is_in_the_valid_split():
    share = sum(sources.split_of(f"clip{i}") == "valid" for i in range(20000)) / 20000
    assert share == pytest.approx(0.05, abs=0.01)


def test_a_bare_folder_lists_the_audio_in_it_and_its_subfolders_but_no_hidden_files(tmp_path):
    for name in ("b.WAV", "sub/a.flac", ".hidden/c.wav", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    listing = sources.list_clips(tmp_path)
    assert listing.layout == "folder"
    assert [clip.path for clip in listing.clips] == ["b.WAV", "sub/a.flac"]
    assert listing.label_names == ()


def test_a_folder_in_a_file_system_of_tensorflow():
    names = ["a.wav", "part.0/b.flac", "part.0/notes.txt", "part/c/d.M4A", "part/readme", "part/list.csv"]
    for name in names:
        tf.io.gfile.makedirs(f"ram://corpus/{name}".rsplit("/", 1)[0])
        with tf.io.gfile.GFile(f"ram://corpus/{name}", "w") as file:
            file.write("a")
    found = files.walk("ram://corpus")
    assert found.audio == ["a.wav", "part.0/b.flac", "part/c/d.M4A"]
    assert found.tables == ["part/list.csv"]
    assert found.others == ["part.0/notes.txt", "part/readme"]


@pytest.mark.parametrize("corpus", [corpora.audioset, corpora.esc50])
def test_listing_imports_no_heavy_library(tmp_path, corpus):
    command = [sys.executable, "-m", list_lightly.__name__, str(corpus(tmp_path / "corpus"))]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"


class TestErrors:
    def test_missing_folder(self, tmp_path):
        with pytest.raises(sources.SourceError, match="there is no folder .*nowhere"):
            sources.list_clips(tmp_path / "nowhere")

    def test_empty_folder(self, tmp_path):
        with pytest.raises(sources.SourceError, match="is empty"):
            sources.list_clips(tmp_path)

    def test_a_file(self, tmp_path):
        (tmp_path / "a.wav").write_bytes(b"")
        with pytest.raises(sources.SourceError, match="is a file"):
            sources.list_clips(tmp_path / "a.wav")

    def test_no_audio(self, tmp_path):
        (tmp_path / "readme.txt").write_text("")
        with pytest.raises(sources.SourceError, match="no audio in"):
            sources.list_clips(tmp_path)

    def test_unknown_layout(self, tmp_path):
        with pytest.raises(
            sources.SourceError, match="unknown layout 'esc51'.*auto, tfds, manifest, esc50, audioset, folder"
        ):
            sources.list_clips(tmp_path, layout="esc51")

    @pytest.mark.parametrize("layout", ["esc50", "audioset"])
    def test_layout_without_its_lists(self, tmp_path, layout):
        corpora.write_tone(tmp_path / "a.wav")
        with pytest.raises(sources.SourceError, match=f"which the {layout} layout needs"):
            sources.list_clips(tmp_path, layout=layout)

    @pytest.mark.parametrize("row", ["1,/m/09x0r,Speech", '0,/m/09x0r," "'])
    def test_malformed_class_list(self, tmp_path, row):
        folder = corpora.audioset(tmp_path)
        (folder / "class_labels_indices.csv").write_text(f"index,mid,display_name\n{row}\n")
        with pytest.raises(sources.SourceError, match=r"class_labels_indices.csv:2: expected '0,"):
            sources.list_clips(folder)

    def test_esc50_without_a_column(self, tmp_path):
        table = corpora.esc50(tmp_path / "esc") / "meta" / "esc50.csv"
        table.write_text(table.read_text().replace("filename", "file", 1))
        with pytest.raises(sources.SourceError, match=r"esc50.csv:1: the first line must name the columns"):
            sources.list_clips(tmp_path / "esc")

    @pytest.mark.parametrize(
        ("old", "new", "cause", "clip_id", "message"),
        [
            ("-A-1.wav,2,1", "-A-1.wav,two,1", "malformed row", "esc50.csv:3", r"esc50.csv:3: expected .*correct"),
            (",False,1001,A", "", "malformed row", "esc50.csv:3", r"esc50.csv:3: expected .*correct the line"),
            ("1,class_1,False,1003", "1,cat,False,1003", "wrong label", "4-1003-A-1", r"esc50.csv:5: class 1 is 'cat' "
             r"here, and class 1 is 'class_1' above"),
            ("1,class_1,False,1003", "7,class_1,False,1003", "wrong label", "4-1003-A-1", r"esc50.csv:5: class 7 is "
             r"'class_1' here, and class 1 is 'class_1' above"),
            ("2-1001-A-1.wav", "1-1000-A-0.wav", "duplicate id", "1-1000-A-0", r"esc50.csv:3: '1-1000-A-0' is in "
             r".*esc50.csv:2 already"),
        ],
    )  # fmt: skip
    def test_only_the_malformed_row_of_esc50_is_quarantined(self, tmp_path, old, new, cause, clip_id, message):
        table = corpora.esc50(tmp_path / "esc", clips=10) / "meta" / "esc50.csv"
        table.write_text(table.read_text().replace(old, new, 1))
        listing = sources.list_clips(tmp_path / "esc")
        (row,) = listing.quarantined
        assert (row.cause, row.clip.clip_id) == (cause, clip_id)
        assert re.search(message, row.message)
        assert len(listing.clips) == 9
        assert listing.label_names == ("class_0", "class_1")
