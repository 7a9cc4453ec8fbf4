import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs import sources
from tests.beam_jobs.sources.manifests import write

FULL = """\
path,start,end,labels,split,fold
a.wav,,,dog;cat,train,1
sub/b.flac,0,2.5,"cat,bird",eval,
sub/b.flac,2.5,5,"Male speech, man speaking;",valid,2

/elsewhere/c.mp3,,,,,
gs://bucket/d.m4a,10,20,dog,,
"""


def test_all_columns_are_read(tmp_path):
    listing = sources.list_clips(write(tmp_path, FULL))
    assert (listing.layout, listing.root, listing.quarantined) == ("manifest", str(tmp_path), [])
    assert listing.label_names == ("Male speech, man speaking", "bird", "cat", "dog")
    a, b0, b1, c, d = listing.clips
    assert (a.clip_id, a.start_s, a.end_s, a.labels, a.split, a.fold) == (
        "a.wav",
        None,
        None,
        ("dog", "cat"),
        "train",
        1,
    )
    assert (b0.clip_id, b0.path, b0.start_s, b0.end_s) == ("sub/b.flac@0-2.5", "sub/b.flac", 0.0, 2.5)
    assert (b0.labels, b0.split, b0.fold) == (("cat", "bird"), "eval", 0)
    assert (b1.clip_id, b1.labels, b1.split) == ("sub/b.flac@2.5-5", ("Male speech, man speaking",), "valid")
    assert (c.labels, c.split) == ((), sources.split_of("/elsewhere/c.mp3"))
    assert d.path == "gs://bucket/d.m4a"
    assert all(clip.trimmed is False for clip in listing.clips)


def test_a_listed_segment_is_always_cut_from_its_file(tmp_path):
    assert sources.list_clips(write(tmp_path, "path,start,end\na.wav,0,10\n")).clips[0].trimmed is False


def test_paths_are_absolute_or_relative_to_the_folder_of_the_manifest():
    assert str(sources.locate("/data", "sub/a.wav")) == "/data/sub/a.wav"
    assert str(sources.locate("gs://bucket/data", "sub/a.wav")) == "gs://bucket/data/sub/a.wav"
    assert str(sources.locate("/data", "/else/a.wav")) == "/else/a.wav"
    assert str(sources.locate("/data", "gs://bucket/a.wav")) == "gs://bucket/a.wav"


@pytest.mark.parametrize("text", ["path\na.wav\n", "\ufeffpath\r\na.wav\r\n", " path \n a.wav \n", "fold,path\n,a.wav"])
def test_only_the_path_is_required(tmp_path, text):
    (clip,) = sources.list_clips(write(tmp_path, text)).clips
    assert clip == sources.Clip(clip_id="a.wav", path="a.wav", split=sources.split_of("a.wav"), trimmed=False)


def test_the_manifest_in_a_folder_decides_its_clips(tmp_path):
    write(tmp_path, "path,labels\n#1.wav,dog\n", name="manifest.csv")
    (tmp_path / "other.wav").write_bytes(b"")
    listing = sources.list_clips(tmp_path)
    assert [(clip.path, clip.labels) for clip in listing.clips] == [("#1.wav", ("dog",))]
    assert listing.root == str(tmp_path)


def test_the_manifest_of_another_program_is_ignored(tmp_path):
    write(tmp_path, "filename,category\na.wav,dog\n", name="manifest.csv")
    (tmp_path / "a.wav").write_bytes(b"")
    listing = sources.list_clips(tmp_path)
    assert listing.layout == "folder"
    assert listing.ignored == {"manifest.csv without a column 'path'": 1}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("filename,labels", r"clips.csv:1: the first line must name the columns, 'path' among them"),
        ("a.wav,dog", r"clips.csv:1: the first line must name"),
        ("path,path", r"clips.csv:1: .* none twice"),
        ("", r"clips.csv:1: the first line must name"),
        ("path,label", r"clips.csv:1: unknown column 'label'; a manifest has path\[,start"),
        ("path,start", r"clips.csv:1: the columns start and end go together"),
    ],
)
def test_a_malformed_header_is_an_error(tmp_path, header, message):
    with pytest.raises(sources.SourceError, match=message):
        sources.list_clips(write(tmp_path, f"{header}\na.wav,dog\n" if header else ""))


def test_a_list_that_is_not_text_is_an_error(tmp_path):
    (tmp_path / "clips.csv").write_bytes(b"path\n\xff\xfe\x00.wav\n")
    with pytest.raises(sources.SourceError, match=r"clips.csv:2: not UTF-8 text"):
        sources.list_clips(tmp_path / "clips.csv")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("b.wav", r"clips.csv:3: expected path,start,end,labels,split,fold, not 'b.wav'"),
        ("b.wav,,,dog,,,1", r"clips.csv:3: expected path,start"),
        ('b.wav,,,"dog,,', r"clips.csv:3: expected path,start"),
        (",,,dog,,", r"clips.csv:3: the path is empty"),
        ("b.wav,1,,,,", r"clips.csv:3: '1' to '' is not a segment"),
        ("b.wav,2,1,,,", r"clips.csv:3: '2' to '1' is not a segment"),
        ("b.wav,-1,1,,,", r"clips.csv:3: '-1' to '1' is not a segment"),
        ("b.wav,0,inf,,,", r"clips.csv:3: '0' to 'inf' is not a segment"),
        ("b.wav,0,nan,,,", r"clips.csv:3: '0' to 'nan' is not a segment"),
        ("b.wav,,,,test,", r"clips.csv:3: 'test' is not a split; give one of train, valid, eval or nothing"),
        ("b.wav,,,,,1.5", r"clips.csv:3: '1.5' is not a fold; give a whole number or nothing"),
        ("b.wav,,,,,one", r"clips.csv:3: 'one' is not a fold"),
    ],
)
def test_only_the_malformed_row_is_quarantined(tmp_path, row, message):
    text = f"path,start,end,labels,split,fold\na.wav,,,,,\n{row}\nc.wav,,,,,\n"
    listing = sources.list_clips(write(tmp_path, text))
    assert [clip.path for clip in listing.clips] == ["a.wav", "c.wav"]
    (quarantined,) = listing.quarantined
    assert (quarantined.cause, quarantined.clip.clip_id) == ("malformed row", "clips.csv:3")
    assert re.search(message, quarantined.message)


@pytest.mark.parametrize(
    ("folds", "stored"),
    [
        (["1", "2", ""], [1, 2, 0]),
        (["0", "1", "2"], [1, 2, 3]),
        (["0", "", "4"], [1, 0, 5]),
        (["7", "1", "3"], [7, 1, 3]),
        (["-1", "0", "1"], [1, 2, 3]),
        (["1.0", "2.0", ""], [1, 2, 0]),
    ],
)
def test_folds_may_be_any_whole_numbers(tmp_path, folds, stored):
    rows = "".join(f"{index}.wav,{fold}\n" for index, fold in enumerate(folds))
    listing = sources.list_clips(write(tmp_path, f"path,fold\n{rows}"))
    assert [clip.fold for clip in listing.clips] == stored
    assert listing.quarantined == []


def test_a_clip_that_is_listed_again_is_quarantined(tmp_path):
    listing = sources.list_clips(write(tmp_path, "path,start,end\na.wav,0,1\na.wav,1,2\na.wav,0.0,1.0\n"))
    assert [clip.clip_id for clip in listing.clips] == ["a.wav@0-1", "a.wav@1-2"]
    (quarantined,) = listing.quarantined
    assert (quarantined.cause, quarantined.clip.clip_id) == ("duplicate id", "a.wav@0-1")
    assert "clips.csv:4: 'a.wav@0-1' is in" in quarantined.message
    assert "clips.csv:2 already" in quarantined.message


def test_a_missing_manifest_is_an_error(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"")
    with pytest.raises(sources.SourceError, match="there is no .*manifest.csv, which the manifest layout needs"):
        sources.list_clips(tmp_path, layout="manifest")


LINES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=30)
    | st.lists(st.sampled_from(["a.wav", "b", "0", "1.5", "-1", "", " ", '"', "train", "x;y"]), max_size=7).map(
        ",".join
    )
)


def later_lines(row):
    """Returns the numbers of the lines that a quarantined row takes after its first one."""
    match = re.search(r"clips\.csv:(\d+): the row takes (\d+) lines", row.message)
    return range(int(match[1]) + 1, int(match[1]) + int(match[2])) if match else ()


@settings(deadline=None)
@given(lines=LINES)
def test_every_line_is_a_clip_or_quarantined(tmp_path_factory, lines):
    table = write(tmp_path_factory.mktemp("manifest"), "\n".join(["path,start,end,labels,split,fold", *lines]))
    listing = sources.list_clips(table)
    within = set(itertools.chain.from_iterable(map(later_lines, listing.quarantined)))
    expected = sum(bool(line.strip()) for number, line in enumerate(lines, start=2) if number not in within)
    assert len(listing.clips) + len(listing.quarantined) == expected
    assert len({clip.clip_id for clip in listing.clips}) == len(listing.clips)
    assert all(re.search(r"clips\.csv:\d+: ", row.message) for row in listing.quarantined)


PANDAS = """\
,path,start,end,labels,split,fold
0,a.wav,nan,nan,dog,train,1.0
1,b.wav,0.0,2.5,"['cat', 'bird']",NaN,2.0
2,c.wav,nan,NaN,nan,nan,nan
3,nan,nan,nan,dog,train,1.0
"""


def test_a_manifest_that_pandas_wrote(tmp_path):
    listing = sources.list_clips(write(tmp_path, PANDAS))
    assert [(clip.path, clip.start_s, clip.end_s, clip.labels, clip.fold) for clip in listing.clips] == [
        ("a.wav", None, None, ("dog",), 1),
        ("b.wav", 0.0, 2.5, ("cat", "bird"), 2),
        ("c.wav", None, None, (), 0),
    ]
    assert listing.label_names == ("bird", "cat", "dog")
    assert [clip.split for clip in listing.clips[1:]] == [sources.split_of("b.wav"), sources.split_of("c.wav")]
    assert [row.message for row in listing.quarantined] == [
        f"{tmp_path}/clips.csv:5: the path is empty; give one or remove the line"
    ]


def test_the_segments_of_a_recording_are_in_one_split(tmp_path):
    names = [f"{i}.wav" for i in range(200)]
    spelled = [f"{spelling}{name},{i},{i + 1}" for name in names for i, spelling in enumerate(("", "./", ".//", ""))]
    whole = [f"{name},," for name in names]
    listing = sources.list_clips(write(tmp_path, "\n".join(["path,start,end", *spelled, *whole])))
    assert len(listing.clips) == 1000
    of_file = {name: sources.split_of(name) for name in names}
    assert {clip.split for clip in listing.clips} == {"train", "valid"}
    assert all(clip.split == of_file[clip.path.rsplit("/", 1)[-1]] for clip in listing.clips)


def test_a_class_may_be_called_none(tmp_path):
    assert sources.list_clips(write(tmp_path, "path,labels\na.wav,None\n")).label_names == ("None",)


def test_audio_that_a_manifest_in_the_folder_does_not_name_is_counted(tmp_path):
    write(tmp_path, "path\n./a.wav\nsub/b.wav\n", name="manifest.csv")
    (tmp_path / "sub").mkdir()
    for name in ("a.wav", "sub/b.wav", "sub/c.wav", "notes.txt", "._a.wav"):
        (tmp_path / name).touch()
    listing = sources.list_clips(tmp_path)
    assert listing.ignored == {"audio files that no row of manifest.csv names": 1, "files that end in .txt": 1}
    assert listing.no_labels == f"no labels were found, because {tmp_path}/manifest.csv has no column labels"
