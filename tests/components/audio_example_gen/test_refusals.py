"""Sources and flags that AudioExampleGen refuses, each with one sentence."""

import os

import pydantic
import pytest

from components.errors import UserError
from tests import corpora
from tests.components import harness
from tests.components.audio_example_gen.stage import audio_example_gen

pytestmark = pytest.mark.usefixtures("blank_pictures", "kept_decoders")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "there is no folder"),
        ("empty", "is empty"),
        ("a.wav", "is a file"),
        ("pipe.csv", "it is a pipe, a socket or a device, not a file"),
    ],
)
def test_source_that_is_no_folder_of_audio(tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.wav").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UserError, match=rf"audio_example_gen.source: .*{name}.*--data") as caught:
        audio_example_gen(source=str(tmp_path / name)).check()
    assert message in str(caught.value)


def test_source_on_an_unknown_file_system():
    with pytest.raises(pydantic.ValidationError, match="foo://x is neither on this machine nor in Cloud Storage"):
        audio_example_gen(source="foo://x")


def test_neither_a_source_nor_an_input(tmp_path):
    with pytest.raises(UserError, match="audio_example_gen.source is not set"):
        harness.execute(audio_example_gen(), tmp_path / "run")


def test_folder_without_audio(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "notes.txt").write_text("")
    with pytest.raises(UserError, match="no audio in"):
        harness.execute(audio_example_gen(source=str(tmp_path / "source")), tmp_path / "run")


def test_source_without_a_decodable_clip(tmp_path):
    (tmp_path / "source").mkdir()
    for i in range(3):
        (tmp_path / "source" / f"{i}.wav").write_bytes(b"no audio")
    message = r"no decodable clip in .*source: all 3 .*\(3 unreadable\), e\.g\. \d\.wav: [^/]* / [^/]*; give a folder"
    with pytest.raises(UserError, match=message):
        harness.execute(audio_example_gen(source=str(tmp_path / "source")), tmp_path / "run")


def test_lists_without_their_files(tmp_path):
    source = corpora.audioset(tmp_path / "as", train=2, evaluation=1)
    for i, clip in enumerate(sorted((source / "audio").iterdir())):
        clip.rename(clip.with_name(f"{i}.wav"))
    message = r"no clip of the lists in .* can be used \(3 missing\), e\.g\. .*: no file for this row"
    with pytest.raises(UserError, match=message):
        harness.execute(audio_example_gen(source=str(source)), tmp_path / "run")


def test_lists_that_name_no_clip(tmp_path):
    source = corpora.audioset(tmp_path / "as", train=2, evaluation=1)
    for table in source.glob("*_segments.csv"):
        table.write_text("# three\n# comment\n# lines\n")
    with pytest.raises(UserError, match=r"the lists in .*as name no clip; put"):
        harness.execute(audio_example_gen(source=str(source)), tmp_path / "run")


def test_label_that_is_no_known_class(tmp_path):
    source = corpora.audioset(tmp_path / "as")
    (source / "class_labels_indices.csv").write_text("index,mid,display_name\n0,/m/09x0r,Speech\n")
    with pytest.raises(UserError, match=r"segments.csv:4: the label '/t/dd00001' is not a class of"):
        harness.execute(audio_example_gen(source=str(source)), tmp_path / "run")


def test_flags_that_beam_does_not_accept(tmp_path):
    source = str(corpora.esc50(tmp_path / "esc", clips=4))
    with pytest.raises(UserError, match=r"audio_example_gen.beam_args: Beam does not accept '--runner=Foo'"):
        harness.execute(audio_example_gen(source=source, beam_args=["--runner=Foo"]), tmp_path / "run")
