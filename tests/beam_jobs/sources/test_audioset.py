import collections
import pathlib
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs import sources
from beam_jobs.sources import audioset
from tests import corpora

LISTS = pathlib.Path(__file__).parents[4] / "shared" / "data" / "audioset"
YTIDS = st.text(string.ascii_letters + string.digits + "-_", min_size=11, max_size=11)

# Lines of the official lists, as published.
BALANCED = """\
# Segments csv created Sun Mar  5 10:54:31 2017
# num_ytids=22160, num_segs=22160, num_unique_labels=527, num_positive_labels=52882
# YTID, start_seconds, end_seconds, positive_labels
--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"
-0DLPzsiXXE, 30.000, 40.000, "/m/04rlf,/m/07qwdck"
Y-CDakgc2Lc, 30.000, 40.000, "/m/02qldy,/m/09x0r"
_-CrlQhL3zs, 30.000, 40.000, "/m/01j4z9"
"""
EVAL = """\
# Segments csv created Sun Mar  5 10:54:25 2017
# num_ytids=20371, num_segs=20371, num_unique_labels=527, num_positive_labels=51804
# YTID, start_seconds, end_seconds, positive_labels
--4gqARaEJE, 0.000, 10.000, "/m/068hy,/m/07q6cd_,/m/0bt9lr,/m/0jbk"
-0CamVQdP_Y, 0.000, 6.000, "/m/04rlf,/m/07pbtc8,/m/09x0r"
Y-Ysf3BK5zs, 560.000, 570.000, "/m/013y1f,/m/03xq_f"
"""
MIDS = sorted({mid for line in (BALANCED + EVAL).splitlines() for mid in re.findall(r"/[mt]/\w+", line)})
SEGMENTS = [
    ("--PJHxphWEs", 30), ("-0DLPzsiXXE", 30), ("Y-CDakgc2Lc", 30), ("_-CrlQhL3zs", 30),
    ("--4gqARaEJE", 0), ("-0CamVQdP_Y", 0), ("Y-Ysf3BK5zs", 560),
]  # fmt: skip
# Naming of the files -> `Clip.trimmed`.
NAMINGS = {
    "{ytid}.wav": None,
    "Y{ytid}.flac": None,
    "{ytid}_{start}.m4a": True,
    "Y{ytid}_{start}.ogg": True,
    "{ytid}_{start}.000.MP3": True,
    "{ytid}_{start}000_{end}000.webm": True,
    "Y{ytid}_{start}000_{end}000.opus": True,
    "{ytid}_{start}_{end}.mp4": True,
    "{ytid}_{start}.000_{end}.000.WAV": True,
    "{ytid}_{start}-{end}.wav": True,
    "part07/{ytid}.wav": None,
    "audio/unbalanced/Y{ytid}_{start}000_{end}000.Flac": True,
}


def list_official(folder, *, names=()):
    """Writes the official lines and empty audio files, and lists them."""
    (folder / "balanced_train_segments.csv").write_text(BALANCED)
    (folder / "eval_segments.csv").write_text(EVAL)
    rows = [f'{i},{mid},"Class {i}, or so"' for i, mid in enumerate(MIDS)]
    (folder / "class_labels_indices.csv").write_text("\n".join(["index,mid,display_name", *rows, ""]))
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return sources.list_clips(folder)


@pytest.mark.parametrize(("naming", "trimmed"), NAMINGS.items())
def test_official_lines_find_their_files_in_every_naming(tmp_path, naming, trimmed):
    names = [naming.format(ytid=ytid, start=start, end=start + 10) for ytid, start in SEGMENTS]
    listing = list_official(tmp_path, names=names)
    assert [clip.path for clip in listing.clips] == names
    assert {clip.trimmed for clip in listing.clips} == {trimmed}
    assert [clip.clip_id for clip in listing.clips] == [f"{ytid}_{start}" for ytid, start in SEGMENTS]
    assert (listing.layout, listing.quarantined, listing.ignored) == ("audioset", [], {})


def test_official_lines_give_labels_times_and_splits(tmp_path):
    listing = list_official(tmp_path, names=[f"{ytid}.wav" for ytid, _ in SEGMENTS])
    dogs, short, cut = listing.clips[4], listing.clips[5], listing.clips[6]
    assert len(listing.label_names) == len(MIDS)
    expected = ("/m/068hy", "/m/07q6cd_", "/m/0bt9lr", "/m/0jbk")
    assert dogs.labels == tuple(f"Class {MIDS.index(mid)}, or so" for mid in expected)
    assert (short.start_s, short.end_s) == (0.0, 6.0)
    assert (cut.start_s, cut.end_s) == (560.0, 570.0)
    assert [clip.split for clip in listing.clips[4:]] == ["eval"] * 3
    assert all(clip.split == sources.split_of(clip.clip_id.rpartition("_")[0]) for clip in listing.clips[:4])


@pytest.mark.parametrize(
    ("name", "is_eval"),
    [
        ("Eval_segments.csv", True),
        ("EVAL_segments.csv", True),
        ("my-eval_segments.csv", True),
        ("audioset.evaluation_segments.csv", True),
        ("as2_eval_segments.csv", True),
        ("medieval_segments.csv", False),
        ("balanced_train_segments.csv", False),
    ],
)
def test_the_beginning_of_a_word_in_the_name_makes_a_list_the_eval_split(tmp_path, name, is_eval):
    (tmp_path / name).write_text('abcdefghijk, 30.000, 40.000, "/m/09x0r"\n')
    (tmp_path / "class_labels_indices.csv").write_text(corpora.CLASSES)
    (tmp_path / "abcdefghijk.wav").touch()
    (clip,) = sources.list_clips(tmp_path).clips
    assert (clip.split == "eval") == is_eval


@pytest.mark.skipif(not LISTS.exists(), reason="AudioSet's own lists are not in ../shared/data/audioset")
def test_the_complete_official_lists(tmp_path):
    for name in ("balanced_train_segments.csv", "eval_segments.csv", "class_labels_indices.csv"):
        (tmp_path / name).symlink_to(LISTS / name)
    (tmp_path / "Y--4gqARaEJE.wav").touch()
    listing = sources.list_clips(tmp_path)
    assert [clip.path for clip in listing.clips] == ["Y--4gqARaEJE.wav"]
    assert listing.clips[0].labels[0] == "Domestic animals, pets"
    assert collections.Counter(row.cause for row in listing.quarantined) == {"missing": 22160 + 20371 - 1}
    assert sum(len(row.clip.labels) for row in listing.quarantined) == 52882 + 51804 - 4
    assert len(listing.label_names) == 527


def test_rows_without_a_file_are_quarantined_and_files_without_a_row_are_ignored(tmp_path):
    names = ["--PJHxphWEs.wav", "holiday.wav", "abcdefghijk.wav", "-0DLPzsiXXE_90.wav"]
    listing = list_official(tmp_path, names=names)
    assert [clip.path for clip in listing.clips] == names[:1]
    assert [row.clip.clip_id for row in listing.quarantined] == [f"{y}_{start}" for y, start in SEGMENTS[1:]]
    assert {(row.cause, row.message) for row in listing.quarantined} == {
        ("missing", "no file for this row of the lists")
    }
    assert listing.ignored == {
        "audio files not named after a segment": 1,
        "audio files that no row of the lists needs": 2,
    }


def test_a_file_named_with_the_start_is_preferred_then_the_first_by_name(tmp_path):
    names = ["a/--PJHxphWEs.wav", "b/--PJHxphWEs_30.wav", "-0DLPzsiXXE.flac", "-0DLPzsiXXE.wav", "Y-0DLPzsiXXE.wav"]
    listing = list_official(tmp_path, names=names)
    assert [(clip.path, clip.trimmed) for clip in listing.clips] == [(names[1], True), (names[2], None)]
    assert listing.ignored == {"audio files that no row of the lists needs": 3}


def test_two_segments_of_one_recording_find_their_own_files(tmp_path):
    (tmp_path / "balanced_train_segments.csv").write_text(
        'abcdefghijk, 30.000, 40.000, "/m/09x0r"\nabcdefghijk, 60.500, 70.500, "/m/09x0r"\n'
    )
    (tmp_path / "class_labels_indices.csv").write_text(corpora.CLASSES)
    for name in ("abcdefghijk.wav", "abcdefghijk_60500_70500.wav"):
        (tmp_path / name).touch()
    listing = sources.list_clips(tmp_path)
    assert [(clip.clip_id, clip.path, clip.trimmed) for clip in listing.clips] == [
        ("abcdefghijk_30", "abcdefghijk.wav", None),
        ("abcdefghijk_60.5", "abcdefghijk_60500_70500.wav", True),
    ]


@pytest.mark.parametrize(
    ("line", "is_shared"),
    [
        ('abcdefghijk, 70.000, 80.000, "/m/09x0r"', True),
        ('abcdefghijk, 70.000, 80.000, "/t/dd99999"', True),
        ('abcdefghijk, 30.000, 40.000, "/m/09x0r"', False),
        ('abcdefghijk, 90.000, 99.000, "/m/09x0r"', False),
    ],
    ids=["another segment", "one of a wrong label", "the same segment", "one with a file of its own"],
)
def test_a_file_that_several_segments_need_is_not_trimmed(tmp_path, line, is_shared):
    (tmp_path / "balanced_train_segments.csv").write_text('abcdefghijk, 30.000, 40.000, "/m/09x0r"\n')
    (tmp_path / "eval_segments.csv").write_text(f"{line}\n")
    (tmp_path / "class_labels_indices.csv").write_text(corpora.CLASSES)
    for name in ("abcdefghijk.wav", "abcdefghijk_90.wav"):
        (tmp_path / name).touch()
    clips = [clip for clip in sources.list_clips(tmp_path).clips if clip.path == "abcdefghijk.wav"]
    assert clips
    assert {clip.trimmed for clip in clips} == {False if is_shared else None}


def test_the_segments_of_a_recording_are_in_one_split(tmp_path):
    ytids = [corpora.ytid(number) for number in range(100)]
    rows = [f'{ytid}, {start}, {start + 10}, "/m/09x0r"' for ytid in ytids for start in (0, 10, 300)]
    (tmp_path / "unbalanced_train_segments.csv").write_text("\n".join(rows))
    (tmp_path / "class_labels_indices.csv").write_text(corpora.CLASSES)
    for ytid in ytids:
        (tmp_path / f"{ytid}.wav").touch()
    splits = {}
    for clip in sources.list_clips(tmp_path).clips:
        splits.setdefault(clip.path, []).append(clip.split)
    assert {len(found) for found in splits.values()} == {3}
    assert {len(set(found)) for found in splits.values()} == {1}
    assert {found[0] for found in splits.values()} == {"train", "valid"}


@given(ytid=YTIDS, start=st.integers(0, 5000), length=st.integers(1, 10), naming=st.sampled_from(list(NAMINGS)))
def test_every_id_is_found_in_every_naming(ytid, start, length, naming):
    name = naming.format(ytid=ytid, start=start, end=start + length)
    index = audioset.index_by_ytid([name])
    assert audioset.find_file(index.get(ytid, ()), start_s=float(start)) == (name, NAMINGS[naming])


def test_a_file_of_another_segment_of_the_recording_is_not_used():
    index = audioset.index_by_ytid(["abcdefghijk_30.wav", "abcdefghijk_90.wav"])
    assert audioset.find_file(index["abcdefghijk"], start_s=90.0) == ("abcdefghijk_90.wav", True)
    assert audioset.find_file(index["abcdefghijk"], start_s=60.0) == ("", None)


class TestQuarantinedRows:
    def listing(self, folder, line):
        """Appends a line to the list of a small corpus, and lists the corpus."""
        corpora.audioset(folder, train=1, evaluation=1)
        with (folder / "balanced_train_segments.csv").open("a") as file:
            file.write(f"{line}\n")
        return sources.list_clips(folder)

    @pytest.mark.parametrize(
        "line",
        [
            "abc",
            "abcdefghijk, 10, 5, /m/09x0r",
            "abcdefghijk, x, 5, /m/09x0r",
            "abcdefghijk, 0, nan, /m/09x0r",
            "abcdefghijk, -1, 5, /m/09x0r",
            "abcdefghijk, 0, 5, /m/09x0r,/t/dd00001",
            'abcdefghijk, 0, 5, "/m/09x0r',
        ],
    )
    def test_a_malformed_row(self, tmp_path, line):
        listing = self.listing(tmp_path, line)
        (row,) = listing.quarantined
        assert (row.cause, row.clip.clip_id) == ("malformed row", "balanced_train_segments.csv:5")
        assert re.search(r"balanced_train_segments.csv:5: expected 'YTID, .*correct the line", row.message)
        assert len(listing.clips) == 2

    def test_an_unknown_label(self, tmp_path):
        listing = self.listing(tmp_path, 'abcdefghijk, 0, 5, "/m/09x0r,/t/dd99999"')
        (row,) = listing.quarantined
        assert (row.cause, row.clip.clip_id) == ("wrong label", "abcdefghijk_0")
        assert "balanced_train_segments.csv:5: the label '/t/dd99999' is not a class" in row.message

    def test_a_segment_that_is_listed_again_in_the_same_or_another_list(self, tmp_path):
        line_of_clip = f'{corpora.ytid(0)}, 0.000, 0.500, "/m/09x0r"'
        folder = tmp_path / "as"
        corpora.audioset(folder, train=1, evaluation=1)
        (folder / "unbalanced_train_segments.csv").write_text(f"{line_of_clip}\n{line_of_clip}\n")
        listing = sources.list_clips(folder)
        assert [row.cause for row in listing.quarantined] == ["duplicate id"] * 2
        for line, row in enumerate(listing.quarantined, start=1):
            assert f"unbalanced_train_segments.csv:{line}: '{corpora.ytid(0)}_0' is in" in row.message
            assert "balanced_train_segments.csv:4 already" in row.message
        assert len(listing.clips) == 2
