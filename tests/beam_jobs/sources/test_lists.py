"""Lists of ESC-50, AudioSet and manifests that lie elsewhere or have other names."""

import pytest

from beam_jobs import sources
from tests import corpora


def move(folder, *, below="", renames=None):
    """Moves a corpus one or more folders down, and renames its CSV files."""
    for old, new in (renames or {}).items():
        (folder / new).parent.mkdir(parents=True, exist_ok=True)
        (folder / old).rename(folder / new)
    target = folder.parent / "source" / below
    target.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(target)
    return folder.parent / "source"


def labels(listing):
    return [(clip.path.rsplit("/", 1)[-1], clip.labels, clip.fold, clip.split) for clip in listing.clips]


@pytest.mark.parametrize(
    ("below", "renames"),
    [
        ("ESC-50-master", {}),
        ("downloads/2024/ESC-50", {}),
        ("", {"meta/esc50.csv": "esc50.csv"}),
        ("x", {"meta/esc50.csv": "labels/all.CSV"}),
    ],
)
def test_esc50_is_read_wherever_its_list_lies(tmp_path, below, renames):
    expected = sources.list_clips(corpora.esc50(tmp_path / "as shipped", clips=6))
    listing = sources.list_clips(move(corpora.esc50(tmp_path / "esc", clips=6), below=below, renames=renames))
    assert listing.layout == "esc50"
    assert labels(listing) == labels(expected)
    assert (listing.label_names, listing.quarantined, listing.ignored) == (expected.label_names, [], {})


@pytest.mark.parametrize("layout", ["auto", "esc50"])
def test_two_lists_of_esc50_are_one_sentence(tmp_path, layout):
    for name in ("one", "two"):
        corpora.esc50(tmp_path / name, clips=2)
    with pytest.raises(
        sources.SourceError, match=r"one/meta/esc50.csv and two/meta/esc50.csv in .* give the folder of"
    ):
        sources.list_clips(tmp_path, layout=layout)


@pytest.mark.parametrize(
    ("below", "renames"),
    [
        ("audioset/v1/all", {}),
        ("", {"balanced_train_segments.csv": "train.csv", "eval_segments.csv": "eval.csv"}),
        ("x", {"class_labels_indices.csv": "meta/classes.csv"}),
        ("", {"balanced_train_segments.csv": "csv/a/b/balanced_train.csv", "eval_segments.csv": "csv/a/b/eval.csv"}),
    ],
)
def test_audioset_is_read_wherever_its_lists_lie(tmp_path, below, renames):
    listing = sources.list_clips(move(corpora.audioset(tmp_path / "as"), below=below, renames=renames))
    reference = sources.list_clips(corpora.audioset(tmp_path / "reference"))
    assert listing.layout == "audioset"
    assert sorted(labels(listing)) == sorted(labels(reference))
    assert (listing.label_names, listing.ignored) == (reference.label_names, {})


@pytest.mark.parametrize("name", ["sub/manifest.csv", "labels.csv", "a/b/c/meta.csv"])
def test_a_manifest_elsewhere_is_one_sentence_that_says_what_to_do(tmp_path, name):
    corpora.write_tone(tmp_path / "a.wav")
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("path,labels\na.wav,dog\n")
    message = (
        rf"{name} lists clips, but only manifest.csv .* give .*{name} as the source \(--data\), or set .*layout=folder"
    )
    with pytest.raises(sources.SourceError, match=message):
        sources.list_clips(tmp_path)
    assert [clip.path for clip in sources.list_clips(tmp_path, layout="folder").clips] == ["a.wav"]


@pytest.mark.parametrize("others", [(), ("clips.csv",)])
def test_a_manifest_that_begins_with_a_comment_is_one_sentence_that_says_what_to_do(tmp_path, others):
    corpora.write_tone(tmp_path / "a.wav")
    for other in others:
        (tmp_path / other).write_text("path,labels\na.wav,dog\n")
    table = tmp_path / "manifest.csv"
    table.write_text("# my clips\npath,labels\na.wav,dog\n")
    message = rf"{table} begins with a comment, but its first line must name the columns; remove the lines before that"
    with pytest.raises(sources.SourceError, match=message):
        sources.list_clips(tmp_path)


def test_a_folder_without_labels_says_what_was_looked_for(tmp_path):
    corpora.write_tone(tmp_path / "a.wav")
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "clips.csv").write_text("file;class\na.wav;dog\n")
    listing = sources.list_clips(tmp_path)
    assert listing.layout == "folder"
    assert listing.no_labels == (
        f"no labels were found: {tmp_path} holds no manifest.csv, meta/esc50.csv or *_segments.csv, and no other CSV "
        "file with their columns (meta/clips.csv has file;class)"
    )


def test_lists_beside_each_recording_are_not_all_opened(tmp_path):
    for i in range(150):
        (tmp_path / f"{i:03}.csv").write_text("onset,event\n")
        (tmp_path / f"{i:03}.wav").touch()
    (tmp_path / "149.csv").write_text("path,labels\n")
    assert len(sources.list_clips(tmp_path).clips) == 150


def test_esc50s_names_may_be_spelled_as_macos_does(tmp_path):
    folder = corpora.esc50(tmp_path / "esc", clips=2)
    table = folder / "meta" / "esc50.csv"
    table.write_text(table.read_text().replace("1-1000-A-0", "caf\u00e9"))
    (folder / "audio" / "1-1000-A-0.ogg").rename(folder / "audio" / "cafe\u0301.ogg")
    listing = sources.list_clips(folder)
    assert listing.quarantined == []
    assert listing.clips[0].path == "audio/cafe\u0301.ogg"
