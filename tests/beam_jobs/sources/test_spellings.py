"""A file that a manifest names in several ways."""

import os
import unicodedata

import pytest

from beam_jobs import sources
from tests.beam_jobs.sources.manifests import write

SPELLINGS = ["./a.wav", ".//a.wav", "sub/../a.wav", "sub/./../a.wav", "{folder}/a.wav", "{folder}/./a.wav", "a.wav"]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_two_spellings_of_a_file_are_one_clip(tmp_path, spelling):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.wav").touch()
    other = spelling.format(folder=tmp_path)
    listing = sources.list_clips(write(tmp_path, f"path,start,end\na.wav,,\n{other},,\n{other},0,1\n"))
    assert [(clip.path, clip.start_s) for clip in listing.clips] == [("a.wav", None), (other, 0.0)]
    (row,) = listing.quarantined
    assert (row.cause, row.clip.clip_id) == ("duplicate id", other)
    assert "clips.csv:2 already; remove one of the rows" in row.message


def test_a_path_with_dots_through_a_link_is_another_file(tmp_path):
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    for name in ("a.wav", "elsewhere/a.wav"):
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("elsewhere/deep")
    listing = sources.list_clips(write(tmp_path, "path\na.wav\nlink/../a.wav\n"))
    assert (len(listing.clips), listing.quarantined) == (2, [])


@pytest.mark.parametrize("folder", ["", "sub/../"])
def test_a_link_is_another_clip_than_its_file(tmp_path, folder):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.wav").touch()
    (tmp_path / "link.wav").symlink_to("a.wav")
    listing = sources.list_clips(write(tmp_path, f"path\na.wav\n{folder}link.wav\n"))
    assert (len(listing.clips), listing.quarantined) == (2, [])


@pytest.mark.parametrize("path", ["../audio/{}.wav", "{folder}/audio/{}.wav", "./sub/{}.wav"])
def test_the_disk_is_not_asked_for_every_row(tmp_path, monkeypatch, path):
    """On a network file system, that would take hours for two million rows."""
    (tmp_path / "lists").mkdir()
    rows = "\n".join(path.format(i // 2, folder=tmp_path) + f",{i},{i + 1}" for i in range(1000))
    table = write(tmp_path / "lists", f"path,start,end\n{rows}\n")
    asked = []
    for name in ("stat", "lstat"):
        ask = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, ask=ask, **how: asked.append(args) or ask(*args, **how))
    assert len(sources.list_clips(table).clips) == 1000
    assert len(asked) < 100


@pytest.mark.parametrize(("listed", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFC", "NFC")])
def test_accented_letters_may_be_spelled_in_two_ways(tmp_path, listed, on_disk):
    name = unicodedata.normalize(on_disk, "caf\u00e9/\u00fc.wav")
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).touch()
    row = unicodedata.normalize(listed, name)
    listing = sources.list_clips(write(tmp_path, f"path\n{row}\n", name="manifest.csv").parent)
    assert (listing.quarantined, listing.ignored) == ([], {})
    assert str(sources.locate(tmp_path, listing.clips[0].path)) == str(tmp_path / name)
    both = sources.list_clips(write(tmp_path, f"path\n{row}\n{name}\n"))
    assert len(both.clips) == 1


def test_two_files_that_differ_only_in_such_letters_are_two_clips(tmp_path):
    names = [unicodedata.normalize(form, "\u00fc.wav") for form in ("NFC", "NFD")]
    for name in names:
        (tmp_path / name).touch()
    assert [clip.path for clip in sources.list_clips(write(tmp_path, "path\n" + "\n".join(names))).clips] == names
