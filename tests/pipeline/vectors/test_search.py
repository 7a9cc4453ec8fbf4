"""`diptych search` on files that `diptych embed` has written."""

import io
import os
import pathlib
import shutil
import sys
import unicodedata

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import cli
from tests.pipeline.vectors.searching import read, refused, search
from tests.pipeline.vectors.stored_files import random, write_file, write_folder


def test_audio_files_find_themselves_first_and_a_bad_one_costs_no_other(exported, embedded, tmp_path, capsys):
    queries = [embedded / "sounds" / "low" / "2.wav", embedded / "sounds" / "high" / "5.wav"]
    output = tmp_path / "hits.csv"
    flags = ["--embeddings", embedded / "clips.parquet", "--model", exported, "-k", 3, "--output", output]
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    assert cli.main(["search", *map(str, [*flags, tmp_path / "bad.wav", *queries])]) == 0
    printed = capsys.readouterr()
    assert f"diptych: {tmp_path / 'bad.wav'} left out: unreadable" in printed.err
    rows = read(output)
    assert [row["rank"] for row in rows] == ["1", "2", "3"] * 2
    assert [row["file"] for row in rows if row["rank"] == "1"] == list(map(str, queries))
    assert all(float(row["cosine"]) > 0.99999 for row in rows if row["rank"] == "1")
    assert all(query.name in printed.out for query in queries)
    table = pq.read_table(embedded / "clips.parquet")
    vectors = np.stack(table["embedding"].to_numpy()).astype(np.float64)
    names = table["file"].to_pylist()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for query in queries:
        cosines = unit @ unit[names.index(str(query))]
        expected = np.sort(cosines)[::-1][:3]
        found = [float(row["cosine"]) for row in rows if row["query"] == str(query)]
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_file_of_the_embeddings_needs_no_model_and_is_no_hit_itself(embedded, tmp_path, capsys):
    output = tmp_path / "hits.csv"
    search(capsys, "--embeddings", embedded / "clips.parquet", "--like", "low/2.wav", "-k", 99, "--output", output)
    files = [row["file"] for row in read(output)]
    assert len(files) == 17
    assert str(embedded / "sounds" / "low" / "2.wav") not in files


def test_the_only_file_has_no_hit_and_one_sentence_says_so(tmp_path, capsys):
    write_file(tmp_path / "e.parquet", random(1, 4), names=["a.wav"])
    arguments = ["--embeddings", tmp_path / "e.parquet", "--like", "a.wav", "--output", tmp_path / "hits.csv"]
    assert cli.main(["search", *map(str, arguments)]) == 0
    assert capsys.readouterr().err.strip().splitlines() == [
        "diptych: a.wav has no hit: the embeddings hold no other file whose vector is finite"
    ]
    assert read(tmp_path / "hits.csv") == []


@pytest.mark.parametrize("flags", [[], ["--windows"]])
def test_a_file_that_was_embedded_twice_is_one_file(tmp_path, capsys, flags):
    """`diptych embed a.wav FOLDER` reads it again if it is in the folder, with other files between."""
    vectors = random(5, 4)
    vectors[4] = vectors[0]
    names = ["a.wav", "b.wav", "c.wav", "d.wav", "a.wav"]
    write_file(tmp_path / "e.parquet", vectors, names=names)
    table = pq.read_table(tmp_path / "e.parquet").to_pydict() | {"start_s": [0.0] * 5, "end_s": [1.0] * 5}
    pq.write_table(pa.table(table), tmp_path / "e.parquet")
    output = tmp_path / "hits.csv"
    arguments = ["--embeddings", tmp_path / "e.parquet", "--output", output, *flags]
    search(capsys, *arguments, "--like", "a.wav")
    assert sorted(row["file"] for row in read(output)) == ["b.wav", "c.wav", "d.wav"]
    search(capsys, *arguments, "--like", "b.wav")
    times = 2 if flags else 1
    assert sorted(row["file"] for row in read(output)) == [*["a.wav"] * times, "c.wav", "d.wav"]


def test_a_query_that_is_given_twice_is_one_query(tmp_path, capsys):
    write_file(tmp_path / "e.parquet", random(4, 4), names=["a.wav", "b.wav", "c.wav", "d.wav"])
    arguments = ["--embeddings", tmp_path / "e.parquet", "--output", tmp_path / "hits.csv"]
    once = search(capsys, *arguments, "--like", "b.wav", "--like", "a.wav")
    rows = read(tmp_path / "hits.csv")
    assert [row["rank"] for row in rows] == ["1", "2", "3"] * 2
    assert search(capsys, *arguments, "--like", "b.wav", "--like", "a.wav", "--like", "b.wav") == once
    assert read(tmp_path / "hits.csv") == rows


@pytest.mark.parametrize(("stored", "typed"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_accented_letters_may_be_spelled_as_one_character_or_two(tmp_path, capsys, stored, typed):
    names = [unicodedata.normalize(stored, name) for name in ("sounds/caf\u00e9.wav", "b.wav", "c.wav")]
    write_file(tmp_path / "e.parquet", random(3, 4), names=names)
    output = tmp_path / "hits.csv"
    arguments = ["--embeddings", tmp_path / "e.parquet", "--output", output]
    for name in ("sounds/caf\u00e9.wav", "caf\u00e9.wav"):
        search(capsys, *arguments, "--like", unicodedata.normalize(typed, name))
        assert sorted(row["file"] for row in read(output)) == ["b.wav", "c.wav"]


def test_a_whole_path_in_another_spelling_is_that_file_and_none_in_a_folder_below(tmp_path, capsys):
    names = [unicodedata.normalize("NFD", name) for name in ("caf\u00e9.wav", "b/caf\u00e9.wav")]
    write_file(tmp_path / "e.parquet", random(2, 4), names=names)
    flags = ["--embeddings", tmp_path / "e.parquet", "--output", tmp_path / "hits.csv"]
    search(capsys, *flags, "--like", "caf\u00e9.wav")
    assert [row["file"] for row in read(tmp_path / "hits.csv")] == [names[1]]


def test_of_two_files_whose_names_differ_by_the_spelling_alone_that_of_the_spelling_is_taken(tmp_path, capsys):
    names = [unicodedata.normalize(form, "caf\u00e9.wav") for form in ("NFC", "NFD")]
    write_file(tmp_path / "e.parquet", random(2, 4), names=names)
    for name, other in (names, names[::-1]):
        search(capsys, "--embeddings", tmp_path / "e.parquet", "--output", tmp_path / "hits.csv", "--like", name)
        assert [row["file"] for row in read(tmp_path / "hits.csv")] == [other]


def test_a_file_and_its_row_in_the_embeddings_have_a_table_each(exported, embedded, tmp_path, capsys):
    """A file that is given as audio finds its own row; the same row, given with --like, is not among its own hits."""
    sound = embedded / "sounds" / "low" / "2.wav"
    flags = ["--embeddings", embedded / "clips.parquet", "--model", exported, "-k", 2, "--like", sound, sound]
    printed = search(capsys, *flags)
    assert printed.count("cosine") == 2


def test_a_terminal_without_utf8_shows_every_name(tmp_path, monkeypatch):
    write_file(tmp_path / "e.parquet", random(3, 4), names=["größe.wav", "鳥.wav", "a.wav"])
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    assert cli.main(["search", "--embeddings", str(tmp_path / "e.parquet"), "--like", "a.wav"]) == 0
    assert "gr\\xf6\\xdfe.wav" in written.getvalue().decode("ascii")


def test_a_folder_of_queries_and_what_is_left_out_of_it(exported, embedded, tmp_path, capsys):
    folder = tmp_path / "queries"
    folder.mkdir()
    for name in ("1.wav", "2.wav"):
        shutil.copy(embedded / "sounds" / "low" / name, folder / name)
    (folder / "notes.txt").write_text("no sound")
    output = tmp_path / "hits.csv"
    flags = ["--embeddings", embedded / "clips.parquet", "--model", exported, "-k", 1, "--output", output, folder]
    assert cli.main(["search", *map(str, flags)]) == 0
    assert [row["query"] for row in read(output)] == [str(folder / name) for name in ("1.wav", "2.wav")]
    assert "diptych: left out 1 file that ends in .txt" in capsys.readouterr().err


def test_a_folder_and_a_name_that_is_not_utf8_are_queries(exported, embedded, tmp_path, capsys):
    folder = tmp_path / "queries" / "below"
    folder.mkdir(parents=True)
    for pitch, name in (("low", b"a.wav"), ("high", b"b\xff.wav")):
        shutil.copy(embedded / "sounds" / pitch / "1.wav", os.fsdecode(os.fsencode(folder) + b"/" + name))
    output = tmp_path / "hits.csv"
    stored = str(tmp_path / "stored.parquet")
    assert cli.main(["embed", "--model", exported, "--output", stored, str(folder)]) == 0
    search(capsys, "--embeddings", stored, "--model", exported, folder.parent, "-k", 1, "--output", output)
    rows = read(output)
    assert [row["query"] for row in rows] == [f"{folder}/a.wav", f"{folder}/b\\xff.wav"]
    assert all(row["query"] == row["file"] for row in rows)
    search(capsys, "--embeddings", stored, "--like", os.fsdecode(b"below/b\xff.wav"), "-k", 9, "--output", output)
    assert [row["file"] for row in read(output)] == [f"{folder}/a.wav"]


def test_rows_of_windows_give_files_or_windows(exported, embedded, tmp_path, capsys):
    query = embedded / "sounds" / "low" / "2.wav"
    flags = ["--embeddings", embedded / "windows.parquet", "--model", exported, "--output", tmp_path / "hits.csv"]
    search(capsys, *flags, query, "-k", 18)
    assert len({row["file"] for row in read(tmp_path / "hits.csv")}) == 18
    search(capsys, *flags, query, "-k", 2, "--windows")
    rows = read(tmp_path / "hits.csv")
    starts = sorted({row["query_start_s"] for row in rows})
    assert len(starts) == len(rows) / 2 > 1
    for row in rows:
        if row["rank"] == "1":  # Each window finds itself.
            assert (row["file"], row["start_s"], row["end_s"]) == (
                str(query),
                row["query_start_s"],
                row["query_end_s"],
            )


def test_the_cache_is_named_and_used_again(embedded, tmp_path, capsys):
    flags = ["--embeddings", embedded / "clips.parquet", "--like", "low/2.wav", "--cache", tmp_path]
    assert f"written to {tmp_path}" in search(capsys, *flags).replace("\n", "")
    assert f"read from {tmp_path}" in search(capsys, *flags).replace("\n", "")


@pytest.mark.slow
def test_without_any_query_that_can_be_decoded(exported, embedded, tmp_path, capsys):
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    flags = ["--embeddings", embedded / "clips.parquet", "--model", exported, tmp_path / "bad.wav"]
    assert cli.main(["search", *map(str, flags)]) == 2
    assert "None of the queries could be decoded" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{audio}"], "Audio files are embedded first: give the model"),
        ([], "There is nothing to search for"),
        (["--like", "low/2.wav", "-k", "0"], "-k 0: ask for at least one hit"),
        (["--like", "2.wav"], "--like 2.wav fits 3 files of"),
        (["--like", "low/7.wav"], "--like low/7.wav: "),
        (["--model", "{model}", "nowhere.wav"], "There is no file nowhere.wav"),
        (["--model", "{folder}", "{audio}"], "is not a SavedModel from Diptych"),
        (["--like", "low/2.wav", "--features", "x"], "--features x: "),
        (["--like", "low/2.wav", "--output", "{folder}/nowhere/x.csv"], "is not a file in a folder that exists"),
    ],
)
def test_wrong_input_is_one_sentence(exported, embedded, tmp_path, capsys, arguments, message):
    audio = embedded / "sounds" / "low" / "2.wav"
    places = {"audio": audio, "model": exported, "folder": tmp_path}
    typed = [argument.format(**places) for argument in arguments]
    assert message in refused(capsys, "--embeddings", embedded / "clips.parquet", *typed)


def test_a_model_with_other_sizes_or_other_weights_is_refused(exported, embedded, tmp_path, capsys):
    audio = embedded / "sounds" / "low" / "2.wav"
    write_file(tmp_path / "other.parquet", random(4, 5))
    assert "has other embeddings (" in refused(
        capsys, "--embeddings", tmp_path / "other.parquet", "--model", exported, audio
    )
    shutil.copytree(exported, tmp_path / "other")
    weights = pathlib.Path(tmp_path, "other", "variables", "variables.data-00000-of-00001")
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    message = refused(capsys, "--embeddings", embedded / "clips.parquet", audio, "--model", tmp_path / "other")
    assert f"--model {tmp_path}/other is not the model that made --embeddings" in message


@pytest.mark.parametrize(("value", "message"), [(0.0, "zeros.wav is zero"), (np.nan, "zeros.wav is not finite")])
def test_a_vector_that_points_nowhere_is_refused(tmp_path, capsys, value, message):
    vectors = np.full((2, 4), 1.0)
    vectors[1] = value
    write_file(tmp_path / "e.parquet", vectors, names=["a.wav", "zeros.wav"])
    assert message in refused(capsys, "--embeddings", tmp_path / "e.parquet", "--like", "zeros.wav")


def test_a_folder_of_the_embedder(tmp_path, capsys):
    write_folder(tmp_path / "e", {"trained": {"waveform": random(9, 4), "log_mel": random(9, 3)}})
    flags = ["--embeddings", tmp_path / "e", "--like", "train/3.wav", "--features", "log_mel", "-k", 2]
    assert "train/3.wav" in search(capsys, *flags)
