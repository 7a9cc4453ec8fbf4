import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs import sources
from beam_jobs.sources import audioset
from tests import corpora

YTIDS = st.text(string.ascii_letters + string.digits + "-_", min_size=11, max_size=11)


def test_esc50_matches_by_stem_and_keeps_the_folds(tmp_path):
    listing = sources.list_clips(corpora.esc50(tmp_path / "esc", clips=10))
    assert listing.layout == "esc50"
    assert listing.label_names == ("class_0", "class_1")
    assert len(listing.clips) == 10
    assert {clip.fold for clip in listing.clips} == {1, 2, 3, 4, 5}
    assert listing.clips[3].path == "audio/4-1003-A-1.ogg"
    assert listing.clips[3].labels == ("class_1",)
    assert not listing.missing


def test_audioset_splits_labels_and_missing_files(tmp_path):
    folder = corpora.audioset(tmp_path / "as", train=4, evaluation=2)
    (folder / "audio" / f"{corpora.ytid(0)}_0.wav").unlink()
    corpora.write_tone(folder / "audio" / "holiday.wav")
    corpora.write_tone(folder / "audio" / f"{corpora.ytid(77)}.wav")
    listing = sources.list_clips(folder)
    assert listing.layout == "audioset"
    assert listing.label_names == ("Speech", "Male speech, man speaking", "Rain")
    assert [clip.clip_id for clip in listing.missing] == [f"{corpora.ytid(0)}_0"]
    assert len(listing.clips) == 5
    assert sum(clip.split == "eval" for clip in listing.clips) == 2
    assert listing.clips[0].labels == ("Speech", "Rain")
    assert listing.clips[0].start_s == 10.0
    assert sum(listing.left_out.values()) == 2


@given(ytid=YTIDS, start=st.integers(0, 5000), length=st.integers(1, 10))
def test_every_usual_name_is_found(ytid, start, length):
    end = start + length
    for name in (
        f"{ytid}.wav",
        f"Y{ytid}.flac",
        f"{ytid}_{start}.m4a",
        f"{ytid}_{start}.000.mp3",
        f"{ytid}_{start * 1000}_{end * 1000}.webm",
        f"Y{ytid}_{start}_{end}.ogg",
        f"part07/{ytid}_{start}-{end}.wav",
    ):
        index, unnamed = audioset._index_by_ytid([name])
        assert unnamed == 0
        path, trimmed = audioset._file_of(index.get(ytid, []), start=float(start))
        assert path == name
        assert trimmed == ("_" in name.replace(ytid, ""))


def test_another_segment_of_the_same_video_is_not_taken():
    index, _ = audioset._index_by_ytid(["abcdefghijk_30.wav", "abcdefghijk_90.wav"])
    assert audioset._file_of(index["abcdefghijk"], start=90.0) == ("abcdefghijk_90.wav", True)
    assert audioset._file_of(index["abcdefghijk"], start=60.0) == ("", False)


@given(st.sets(st.text(min_size=1), min_size=1, max_size=50))
def test_split_is_a_function_of_the_id(ids):
    assert {clip_id: sources.split_of(clip_id) for clip_id in ids} == {i: sources.split_of(i) for i in sorted(ids)}


def test_about_a_twentieth_is_valid():
    share = sum(sources.split_of(f"clip{i}") == "valid" for i in range(20000)) / 20000
    assert share == pytest.approx(0.05, abs=0.01)


def test_bare_folder_lists_nested_audio_only(tmp_path):
    for name in ("b.WAV", "sub/a.flac", ".hidden/c.wav", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    listing = sources.list_clips(tmp_path)
    assert listing.layout == "folder"
    assert [clip.path for clip in listing.clips] == ["b.WAV", "sub/a.flac"]
    assert listing.label_names == ()


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
        with pytest.raises(sources.SourceError, match="unknown layout 'esc51'.*auto, audioset, esc50, folder"):
            sources.list_clips(tmp_path, layout="esc51")

    @pytest.mark.parametrize("layout", ["esc50", "audioset"])
    def test_layout_without_its_lists(self, tmp_path, layout):
        corpora.write_tone(tmp_path / "a.wav")
        with pytest.raises(sources.SourceError, match=f"which the {layout} layout needs"):
            sources.list_clips(tmp_path, layout=layout)

    def test_label_of_no_known_class(self, tmp_path):
        folder = corpora.audioset(tmp_path)
        table = folder / "eval_segments.csv"
        table.write_text(table.read_text().replace("/t/dd00001", "/t/dd99999", 1))
        with pytest.raises(sources.SourceError, match=r"eval_segments.csv:4: the label '/t/dd99999'"):
            sources.list_clips(folder)

    @pytest.mark.parametrize(
        "row", ["abc", "abcdefghijk, 10, 5, /m/09x0r", "abcdefghijk, x, 5, /m/09x0r", "a, 0, nan, /m/a"]
    )
    def test_malformed_segment(self, tmp_path, row):
        folder = corpora.audioset(tmp_path, train=1)
        with (folder / "balanced_train_segments.csv").open("a") as file:
            file.write(row + "\n")
        with pytest.raises(sources.SourceError, match=r"balanced_train_segments.csv:5: expected"):
            sources.list_clips(folder)

    def test_malformed_class_list(self, tmp_path):
        folder = corpora.audioset(tmp_path)
        (folder / "class_labels_indices.csv").write_text("index,mid,display_name\n1,/m/09x0r,Speech\n")
        with pytest.raises(sources.SourceError, match=r"class_labels_indices.csv:2: expected '0,"):
            sources.list_clips(folder)

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("2-1001-A-1.wav,2,1", "2-1001-A-1.wav,two,1", r"esc50.csv:3: expected .*correct the line"),
            (",False,1001,A", "", r"esc50.csv:3: expected .*correct the line"),
            ("1,class_1,False,1003", "1,cat,False,1003", r"esc50.csv:5: class 1 is 'cat' here and 'class_1' above"),
            ("filename", "file", r"esc50.csv:1: the first line must name the columns"),
            ("2-1001-A-1.wav", "1-1000-A-0.wav", r"esc50.csv:3: the clip '1-1000-A-0' is listed twice"),
        ],
    )
    def test_malformed_esc50(self, tmp_path, old, new, message):
        table = corpora.esc50(tmp_path / "esc") / "meta" / "esc50.csv"
        table.write_text(table.read_text().replace(old, new, 1))
        with pytest.raises(sources.SourceError, match=message):
            sources.list_clips(tmp_path / "esc")
