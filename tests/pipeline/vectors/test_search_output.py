"""The CSV file that `diptych search` writes."""

import concurrent.futures
import os
import pathlib

import pytest

from tests import corpora
from tests.pipeline.vectors.searching import read, refused, search
from tests.pipeline.vectors.stored_files import random, write_file


@pytest.mark.parametrize(
    ("output", "flags", "what"),
    [
        ("e.parquet", ["--like", "a.wav"], "to read"),
        ("link.csv", ["--like", "a.wav"], "to read"),
        ("q.wav", ["--model", "tiny-v1", "q.wav"], "to embed"),
        ("queries/q.wav", ["--model", "tiny-v1", "queries"], "to embed"),
        ("q.wav", ["--like", "q.wav"], "to read"),
    ],
)
def test_no_output_takes_the_place_of_an_input(tmp_path, monkeypatch, capsys, output, flags, what):
    monkeypatch.chdir(tmp_path)
    write_file(tmp_path / "e.parquet", random(3, 128), names=["a.wav", "b.wav", "q.wav"])
    os.link("e.parquet", "second.parquet")
    os.symlink("second.parquet", "link.csv")
    for name in ("q.wav", "queries/q.wav"):
        corpora.write_tone(tmp_path / name)
    before = pathlib.Path(output).read_bytes()
    error = refused(capsys, "--embeddings", "e.parquet", "--output", output, *flags)
    assert f"--output {output} is one of the files {what}: name another" in error
    assert pathlib.Path(output).read_bytes() == before


@pytest.mark.parametrize(
    ("output", "message"),
    [("none/hits.csv", "is not a file in a folder"), ("", "is empty"), ("h" * 250, "cannot be written")],
)
def test_an_output_that_cannot_be_written_is_said_before_the_search(tmp_path, monkeypatch, capsys, output, message):
    monkeypatch.chdir(tmp_path)
    error = refused(capsys, "--embeddings", "none.parquet", "--like", "a.wav", "--output", output)
    assert "--output" in error
    assert message in error


def test_the_output_keeps_its_links_and_appears_whole(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_file(tmp_path / "e.parquet", random(3, 4), names=["a.wav", "b.wav", "c.wav"])
    (tmp_path / "hits.csv").write_text("old")
    os.symlink("hits.csv", "link.csv")
    with (tmp_path / "hits.csv").open() as reader:  # Holds the old file.
        search(capsys, "--embeddings", "e.parquet", "--like", "a.wav", "--output", "link.csv")
        assert reader.read() == "old"
    assert os.path.islink("link.csv")
    assert len(read("hits.csv")) == 2
    assert sorted(os.listdir()) == ["e.parquet", "hits.csv", "link.csv"]


def test_a_pipe_is_written_into(tmp_path, capsys):
    write_file(tmp_path / "e.parquet", random(3, 4), names=["a.wav", "b.wav", "c.wav"])
    os.mkfifo(tmp_path / "pipe")
    with concurrent.futures.ThreadPoolExecutor() as threads:
        reading = threads.submit((tmp_path / "pipe").read_text)
        search(capsys, "--embeddings", tmp_path / "e.parquet", "--like", "a.wav", "--output", tmp_path / "pipe")
        assert reading.result().startswith("query,query_start_s,")
    assert (tmp_path / "pipe").is_fifo()
