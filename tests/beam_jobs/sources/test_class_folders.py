import os
import re

import pytest

from beam_jobs import sources
from beam_jobs.sources import files
from tests.beam_jobs.sources.folders import touch


def listed(folder):
    """Returns the listing and path -> its labels."""
    listing = sources.list_clips(folder, layout="class_folders")
    assert listing.layout == "class_folders"
    return listing, {clip.path: clip.labels for clip in listing.clips}


def test_the_first_sub_folder_is_the_class_at_any_depth(tmp_path):
    touch(tmp_path, "dog/a.wav", "dog/2024/may/b.flac", "cat/c.wav", "beside.wav", "cat/notes.txt", "empty/readme.txt")
    listing, labels = listed(tmp_path)
    assert listing.label_names == ("cat", "dog")
    assert labels == {
        "beside.wav": (),
        "cat/c.wav": ("cat",),
        "dog/2024/may/b.flac": ("dog",),
        "dog/a.wav": ("dog",),
    }
    assert listing.ignored == {"files that end in .txt": 2}
    assert {clip.clip_id: clip.split for clip in listing.clips} == {
        clip.clip_id: sources.split_of(clip.clip_id) for clip in listing.clips
    }


def test_the_clips_and_their_splits_are_those_of_the_folder_without_labels(tmp_path):
    touch(tmp_path, *(f"class {i % 3}/{i}.wav" for i in range(60)))
    (tmp_path / "class 0" / "again.wav").symlink_to("0.wav")
    labeled, _ = listed(tmp_path)
    bare = sources.list_clips(tmp_path, layout="folder")
    places = [[(clip.clip_id, clip.path, clip.split) for clip in listing.clips] for listing in (labeled, bare)]
    assert places[0] == places[1]
    assert labeled.ignored == bare.ignored == {files.REPEATED: 1}


def test_sub_folders_that_are_all_splits_hold_the_classes(tmp_path):
    touch(tmp_path, "Train/dog/a.wav", "Train/cat/b.wav", "test/dog/c.wav", "test/cat/x/d.wav", "validation/cat/e.wav")
    listing, labels = listed(tmp_path)
    assert listing.label_names == ("cat", "dog")
    assert labels["test/cat/x/d.wav"] == ("cat",)
    assert {clip.path: clip.split for clip in listing.clips} == {
        "Train/cat/b.wav": "train",
        "Train/dog/a.wav": "train",
        "test/cat/x/d.wav": "eval",
        "test/dog/c.wav": "eval",
        "validation/cat/e.wav": "valid",
    }


@pytest.mark.parametrize("stray", ["train/stray.wav", "Test/stray.wav", "stray.wav"])
def test_a_stray_file_does_not_make_classes_of_the_splits(tmp_path, stray):
    folders = [f"{split}/{name}" for split in ("train", "Test", "dev") for name in ("cat", "dog")]
    touch(tmp_path, stray, *(f"{folder}/a.wav" for folder in folders))
    listing, labels = listed(tmp_path)
    assert listing.label_names == ("cat", "dog")
    assert [path for path, names in labels.items() if not names] == [stray]
    split = {clip.path: clip.split for clip in listing.clips}
    assert split[stray] == ("eval" if stray.startswith("Test") else "train")
    assert (split["Test/cat/a.wav"], split["dev/dog/a.wav"]) == ("eval", "valid")


def test_without_a_valid_folder_some_of_train_validates(tmp_path):
    touch(tmp_path, *(f"{'test' if i % 4 == 0 else 'train'}/{'ab'[i % 2]}/{i}.wav" for i in range(200)))
    listing, _ = listed(tmp_path)
    for clip in listing.clips:
        assert clip.split == ("eval" if clip.path.startswith("test/") else sources.split_of(clip.clip_id))
    assert {clip.split for clip in listing.clips} == {"train", "valid", "eval"}


@pytest.mark.parametrize(
    "names", [("train/a.wav", "rain/b.wav"), ("train/a.wav", "test/b.wav"), ("train/x/a.wav", "rain/b.wav")]
)
def test_a_class_may_be_called_train(tmp_path, names):
    touch(tmp_path, *names)
    listing, _ = listed(tmp_path)
    assert "train" in listing.label_names


def test_the_names_of_classes_may_have_any_letters(tmp_path):
    touch(tmp_path, "Ärger, laut;leise/a.wav", "[b]*/c.wav", " d/d.wav")
    assert listed(tmp_path)[0].label_names == (" d", "[b]*", "Ärger, laut;leise")


@pytest.mark.parametrize("mark", ["\n", "\r"])
def test_a_line_break_in_the_name_of_a_class_is_an_error(tmp_path, mark):
    touch(tmp_path, f"do{mark}g/a.wav", "cat/c.wav", "\u2028x/d.wav")
    with pytest.raises(sources.SourceError) as raised:
        sources.list_clips(tmp_path, layout="class_folders")
    assert str(raised.value) == f"the name of the folder {f'do{mark}g'!r} in {tmp_path} has a line break; rename it"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("  ", "name of the folder '  ' in {} is blank; rename it"),
        ("dog ", "names of the folders 'dog' and 'dog ' in {} differ by spaces alone; rename one"),
        ("cat ", "names of the folders ' cat' and 'cat ' in {} differ by spaces alone; rename one"),
    ],
)
def test_names_of_classes_that_tfds_would_not_tell_apart_are_an_error(tmp_path, name, what):
    touch(tmp_path, f"{name}/a.wav", " cat/c.wav", "dog/d.wav")
    with pytest.raises(sources.SourceError) as raised:
        sources.list_clips(tmp_path, layout="class_folders")
    assert str(raised.value) == f"the {what.format(tmp_path)}"


@pytest.mark.parametrize(("names", "only"), [(("a.wav",), ""), (("dog/a.wav", "b.wav"), " but dog")])
def test_fewer_than_two_classes_are_an_error(tmp_path, names, only):
    touch(tmp_path, *names)
    message = f"there are no sub-folders with audio in .*{only}, and the class_folders layout needs one for each of at "
    with pytest.raises(sources.SourceError, match=message):
        sources.list_clips(tmp_path, layout="class_folders")


def test_a_folder_stays_unlabeled_and_says_how_to_label_it(tmp_path):
    touch(tmp_path, "dog/a.wav", "cat/c.wav")
    listing = sources.list_clips(tmp_path)
    assert (listing.layout, listing.label_names) == ("folder", ())
    assert "(audio_example_gen.layout=class_folders takes its 2 sub-folders for classes)" in listing.no_labels


def test_classes_whose_names_are_not_utf8_are_named(tmp_path):
    touch(tmp_path, "dog/a.wav")
    misnamed = os.fsencode(tmp_path) + b"/cat\xff"
    os.mkdir(misnamed)
    for name in (b"/b.wav", b"/c.wav"):
        open(misnamed + name, "wb").close()
    sentence = r"; 2 audio files do not count, because the path is not UTF-8: rename cat\\xff/b\.wav"
    with pytest.raises(sources.SourceError, match=sentence):
        sources.list_clips(tmp_path, layout="class_folders")
    assert re.search(sentence, sources.list_clips(tmp_path).no_labels)
