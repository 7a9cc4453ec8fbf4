import csv
import os

import numpy as np
import pytest

from components.errors import DamagedFile, UserError
from pipeline.serving.embedding import inputs
from tests import corpora
from tests.components.stored_examples import sound, write_examples
from tests.pipeline.serving.embedding.projection import ProjectionLoader, embed_with


def clips_of(*paths):
    found = inputs.find([str(path) for path in paths])
    return [clip for group in found.groups for clip in group.clips]


def test_the_rows_of_a_manifest(tmp_path):
    corpora.write_tone(tmp_path / "a.wav")
    lines = [("path", "start", "end", "labels"), ("a.wav", "0.1", "0.2", "dog;cat"), ("gone.wav", "", "", "dog")]
    lines.append(("a.wav", "2", "1", ""))
    with (tmp_path / "list.csv").open("w") as file:
        csv.writer(file).writerows(lines)
    found = inputs.find([str(tmp_path / "list.csv")])
    (group,) = found.groups
    assert [(clip.path, clip.start_s, clip.end_s, clip.labels) for clip in group.clips] == [
        (str(tmp_path / "a.wav"), 0.1, 0.2, ("dog", "cat")),
        (str(tmp_path / "gone.wav"), None, None, ("dog",)),
    ]
    assert found.has_labels
    assert [(row.cause, row.clip.path) for row in found.quarantined] == [("malformed row", "list.csv:4")]


@pytest.mark.parametrize("name", ["manifest.csv", "esc50"])
def test_a_folder_with_lists_counts_as_for_a_run(tmp_path, name):
    if name == "esc50":
        corpora.esc50(tmp_path / "in", clips=4)
    else:
        corpora.write_tone(tmp_path / "in" / "deep" / "a.wav")
        corpora.write_tone(tmp_path / "in" / "b.wav")
        (tmp_path / "in" / name).write_text("path,labels\ndeep/a.wav,x\n")
    found = inputs.find([str(tmp_path / "in")])
    assert found.has_labels
    clips = [clip for group in found.groups for clip in group.clips]
    assert all(os.path.exists(clip.path) and clip.labels for clip in clips)
    assert len(clips) == (4 if name == "esc50" else 1)
    if name != "esc50":
        assert found.left_out == {"audio files that no row of manifest.csv names": 1}


@pytest.mark.parametrize("name", ["sub/manifest.csv", "other.csv"])
def test_of_a_folder_with_other_tables_all_audio_is_taken(tmp_path, name):
    corpora.write_tone(tmp_path / "in" / "sub" / "a.wav")
    corpora.write_tone(tmp_path / "in" / "b.wav")
    (tmp_path / "in" / name).write_text("path,labels\na.wav,x\n")
    assert [clip.path for clip in clips_of(tmp_path / "in")] == [f"{tmp_path}/in/b.wav", f"{tmp_path}/in/sub/a.wav"]


def test_the_order_is_that_of_the_paths(tmp_path):
    for name in "abc":
        corpora.write_tone(tmp_path / f"{name}.wav")
    paths = [str(tmp_path / f"{name}.wav") for name in "cab"]
    assert [clip.path for clip in clips_of(*paths)] == paths


def test_consecutive_paths_share_groups(tmp_path):
    examples = write_examples(tmp_path / "examples", {"train": [(sound(0, seconds=0.1), [], 0)]})
    for number in range(1200):
        (tmp_path / f"{number:04d}.wav").write_bytes(b"x")
    (tmp_path / "list.csv").write_text("path\n0000.wav\n")
    paths = sorted(map(str, tmp_path.glob("*.wav")))
    found = inputs.find([*paths[:1100], str(tmp_path / "list.csv"), str(examples), *paths[1100:]])
    assert [(type(group).__name__, len(group)) for group in found.groups] == [
        ("Files", 512),
        ("Files", 512),
        ("Files", 77),
        ("StoredClips", 1),
        ("Files", 100),
    ]
    files = [clip.path for group in found.groups if group.file is None for clip in group.clips]
    assert files == [*paths[:1100], paths[0], *paths[1100:]]


def test_the_digest_tells_what_decides_the_embeddings(tmp_path):
    corpora.write_tone(tmp_path / "a.wav")
    corpora.write_tone(tmp_path / "b.wav")
    digests = [inputs.find([str(tmp_path)]).digest]
    assert inputs.find([str(tmp_path)]).digest == digests[0]
    os.utime(tmp_path / "a.wav", ns=(1, 1))
    digests.append(inputs.find([str(tmp_path)]).digest)
    (tmp_path / "b.wav").rename(tmp_path / "c.wav")
    digests.append(inputs.find([str(tmp_path)]).digest)
    (tmp_path / "list.csv").write_text("path,start,end\na.wav,0.1,0.2\n")
    digests.append(inputs.find([str(tmp_path / "list.csv")]).digest)
    (tmp_path / "list.csv").write_text("path,start,end\na.wav,0.1,0.3\n")
    digests.append(inputs.find([str(tmp_path / "list.csv")]).digest)
    (tmp_path / "list.csv").write_text("path,start,end,labels\na.wav,0.1,0.3,x\n")
    digests.append(inputs.find([str(tmp_path / "list.csv")]).digest)
    assert len(set(digests)) == len(digests)


def test_a_folder_of_examples(tmp_path):
    clips = {"train": [(sound(0, seconds=0.1), [], 0)] * 5, "eval": [(sound(1, seconds=0.1), [], 0)] * 2}
    folder = write_examples(tmp_path / "examples", clips, shards=2)
    found = inputs.find([str(folder)])
    assert [(os.path.basename(group.file.path), len(group)) for group in found.groups] == [
        ("audio-train.tfrecord-00000-of-00002", 3),
        ("audio-train.tfrecord-00001-of-00002", 2),
        ("audio-eval.tfrecord-00000-of-00002", 1),
        ("audio-eval.tfrecord-00001-of-00002", 1),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list.csv", "file,labels\na.wav,x\n", "the first line must name the columns"),
        ("list.csv", "path,start\na.wav,1\n", "the columns start and end go together"),
        ("manifest.csv", "path,what\na.wav,1\n", "unknown column 'what'"),
        ("list.csv", "path\n", "There is no file in"),
        ("list.csv", "path,start,end\na.wav,2,1\n", "is not a segment; give seconds"),
    ],
)
def test_a_wrong_list_is_one_sentence(tmp_path, name, content, message):
    corpora.write_tone(tmp_path / "a.wav")
    (tmp_path / name).write_text(content)
    path = tmp_path if name == "manifest.csv" else tmp_path / name
    with pytest.raises(UserError, match=message):
        inputs.find([str(path)])


def test_a_tfds_dataset_that_holds_no_examples_is_one_sentence(tmp_path):
    (tmp_path / "dataset_info.json").write_text('{"splits": []}')
    (tmp_path / "features.json").write_text("{}")
    with pytest.raises(UserError, match="`.*diptych.* run .*--data .* --until AudioExampleGen` writes them"):
        inputs.find([str(tmp_path)])


def test_a_damaged_file_of_examples_is_named(tmp_path):
    folder = write_examples(tmp_path / "examples", {"train": [(sound(0, seconds=0.1), [], 0)] * 5})
    file = folder / "audio-train.tfrecord-00000-of-00001"
    content = file.read_bytes()
    for damaged in (content[: len(content) // 2], content[: len(content) * 3 // 5], b""):
        file.write_bytes(damaged)
        with pytest.raises(DamagedFile, match="audio-train.tfrecord-00000-of-00001 .*--force AudioExampleGen"):
            embed_with(ProjectionLoader(), [folder], tmp_path / "x.csv", restart=True)


def test_an_empty_path_is_refused(tmp_path):
    corpora.write_tone(tmp_path / "a.wav")
    with pytest.raises(
        UserError, match=r"^One of the paths to embed is empty: give audio files, or folders of them\.$"
    ):
        inputs.find([str(tmp_path / "a.wav"), ""])


@pytest.mark.parametrize("end", ["9", "1e305", "1.7e308"])
def test_a_segment_that_ends_after_its_file_is_cut(tmp_path, end):
    corpora.write_tone(tmp_path / "a.wav", seconds=1.0)
    (tmp_path / "list.csv").write_text(f"path,start,end\na.wav,0.5,{end}\n")
    embed_with(ProjectionLoader(), [tmp_path / "list.csv"], tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as rows:
        assert (rows["start_s"].tolist(), rows["end_s"].tolist()) == ([0.5], [1.0])


@pytest.mark.parametrize("layout", ["manifest", "esc50", "esc50 elsewhere", "audioset"])
def test_no_output_takes_the_place_of_a_list(tmp_path, layout):
    """Those in a folder, and through a link."""
    folder = tmp_path / "in"
    table = folder / {"manifest": "manifest.csv", "esc50": "meta/esc50.csv", "esc50 elsewhere": "mine.csv"}.get(
        layout, "eval_segments.csv"
    )
    if layout == "manifest":
        corpora.write_tone(folder / "a.wav")
        table.write_text("path,labels\na.wav,x\n")
    elif layout == "audioset":
        corpora.write_tone(folder / "--PJHxphWEs.wav")
        table.write_text('--PJHxphWEs, 30.000, 40.000, "/m/09x0r"\n')
        (folder / "class_labels_indices.csv").write_text('index,mid,display_name\n0,/m/09x0r,"Speech"\n')
    else:
        corpora.esc50(folder, clips=4)
        (folder / "meta" / "esc50.csv").rename(table)
    (tmp_path / "link.csv").symlink_to(table)
    before = table.read_bytes()
    for output in (table, tmp_path / "link.csv"):
        with pytest.raises(UserError, match=f"--output {output} is one of the files to embed: name another"):
            embed_with(ProjectionLoader(), [folder], output)
    assert table.read_bytes() == before


def test_no_output_takes_the_place_of_a_clip(tmp_path):
    corpora.write_tone(tmp_path / "a.wav")
    (tmp_path / "a.wav").rename(tmp_path / "a.csv")
    (tmp_path / "list.csv").write_text("path\na.csv\n")
    with pytest.raises(UserError, match="is one of the files to embed"):
        embed_with(ProjectionLoader(), [tmp_path / "list.csv"], tmp_path / "a.csv")
