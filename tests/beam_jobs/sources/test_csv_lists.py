"""Cells of lists: what is quoted is taken as it is, and line breaks are refused."""

import csv
import io

import pytest
from etils import epath
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs import sources
from beam_jobs.sources import csv_lists


def write(folder, text):
    (folder / "clips.csv").write_text(text, encoding="utf-8", newline="")
    return epath.Path(folder / "clips.csv")


def quarantined(listing):
    return [(row.clip.clip_id, row.cause) for row in listing.quarantined]


def test_a_quoted_path_keeps_its_spaces(tmp_path):
    text = 'path,labels\n" lead.flac", dog\n"trail.flac ","cat "\n plain.flac , bird \n, \n'
    listing = sources.list_clips(write(tmp_path, text))
    assert [(clip.path, clip.labels) for clip in listing.clips] == [
        (" lead.flac", ("dog",)),
        ("trail.flac ", ("cat",)),
        ("plain.flac", ("bird",)),
    ]
    assert quarantined(listing) == [("clips.csv:5", "malformed row")]


def test_cells_that_are_no_path_may_be_padded_within_quotes(tmp_path):
    text = '"path ","start","end"," labels","split","fold"\n"a.wav"," 1 ","2 "," dog "," valid"," 0 "\n'
    (clip,) = sources.list_clips(write(tmp_path, text)).clips
    assert (clip.path, clip.start_s, clip.end_s, clip.labels, clip.split, clip.fold) == (
        "a.wav",
        1.0,
        2.0,
        ("dog",),
        "valid",
        1,
    )


def test_spaces_after_commas_are_not_those_of_a_quoted_cell(tmp_path):
    """AudioSet's lists have them."""
    table = write(tmp_path, '--PJHxphWEs, 30.000,  40.000 , "/m/09x0r, /t/dd00088 "\n\t"x\t", y "z" ,"a ""b"" "\n')
    assert list(csv_lists.rows(table)) == [
        (1, ["--PJHxphWEs", "30.000", "40.000", "/m/09x0r, /t/dd00088 "]),
        (2, ["x\t", 'y "z"', 'a "b" ']),
    ]


@settings(deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0\ufeff")), min_size=1))
def test_what_is_written_with_quotes_is_read_as_it_is(tmp_path_factory, cells):
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerow(cells)
    table = write(tmp_path_factory.mktemp("list"), text.getvalue())
    assert list(csv_lists.rows(table)) == [(1, cells)]


@pytest.mark.parametrize(
    "cell", ["one\ntwo", "one\r\ntwo", "one\n\n#two\nthree", 'say ""one\ntwo"" twice', "\n", "one\n"]
)
def test_a_row_with_a_line_break_is_quarantined_once(tmp_path, cell):
    """A second line like `two",dog` would be a well-formed row of its own."""
    listing = sources.list_clips(write(tmp_path, f'path,labels\na.wav,x\n"{cell}",dog\nb.wav,"{cell}"\nc.wav,y\n'))
    assert [clip.path for clip in listing.clips] == ["a.wav", "c.wav"]
    later = 3 + 1 + cell.count("\n")
    assert quarantined(listing) == [("clips.csv:3", "malformed row"), (f"clips.csv:{later}", "malformed row")]
    for row, line in zip(listing.quarantined, (3, later), strict=True):
        assert f"clips.csv:{line}: the row takes {later - 3} lines, and line breaks in cells are" in row.message


def test_a_single_column_may_not_hold_a_line_break_either(tmp_path):
    listing = sources.list_clips(write(tmp_path, 'path\n"a\nb.wav"\nc.wav\n'))
    assert ([clip.path for clip in listing.clips], quarantined(listing)) == (
        ["c.wav"],
        [("clips.csv:2", "malformed row")],
    )


@pytest.mark.parametrize(
    "later",
    [
        "b.wav,dog\nc.wav,cat\n",
        'b.wav,"dog"\nc.wav,cat\n',
        '"b.wav","dog"\nc.wav,cat\n',
        'b.wav, "dog,bird"\nc.wav,cat\n',
        'b.wav,""\nc.wav,cat\n',
        'b.wav,dog\n"c.wav",""\n',
    ],
)
def test_a_quote_that_is_never_closed_spoils_only_its_own_line(tmp_path, later):
    listing = sources.list_clips(write(tmp_path, f'path,labels\na.wav,"never closed\n{later}'))
    assert [clip.path for clip in listing.clips] == ["b.wav", "c.wav"]
    assert quarantined(listing) == [("clips.csv:2", "malformed row")]
    assert "not 'a.wav,\"never closed'; correct the line" in listing.quarantined[0].message


def test_a_quote_that_is_closed_far_away_spoils_only_its_own_line(tmp_path):
    rows = "".join(f"{i}.wav,dog\n" for i in range(150))
    listing = sources.list_clips(write(tmp_path, f'path,labels\na.wav,"open\n{rows}z.wav,12"\n'))
    assert len(listing.clips) == 151
    assert quarantined(listing) == [("clips.csv:2", "malformed row")]


@pytest.mark.parametrize("row", ["\0" * 5000, "\0\0.wav,dog", "b.wav,d\0g", '"b.wav\0","dog"', 'b.wav\0,"dog'])
def test_a_row_with_zero_bytes_is_quarantined(tmp_path, row):
    table = write(tmp_path, f"path,labels\na.wav,dog\n{row}\nc.wav,cat\n")
    listing = sources.list_clips(table)
    assert [clip.path for clip in listing.clips] == ["a.wav", "c.wav"]
    assert [(entry.cause, entry.message) for entry in listing.quarantined] == [
        (
            "malformed row",
            f"{table}:3: the row holds zero bytes, as files do after a power cut; write it again or remove it",
        )
    ]
