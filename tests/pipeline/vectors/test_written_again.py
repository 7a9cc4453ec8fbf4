"""Embeddings that are written again while a command reads them."""

from pipeline import cli
from pipeline.vectors import nearest
from tests.pipeline.vectors.stored_files import random, write_file


def test_embeddings_that_are_written_again_meanwhile_name_no_hit(tmp_path, monkeypatch, capsys):
    file, real = tmp_path / "e.parquet", nearest.search
    write_file(file, random(9, 4))

    def search_and_write(*arguments, **options):
        found = real(*arguments, **options)
        write_file(file, random(9, 4, seed=1), names=[f"other {row}.wav" for row in range(9)])
        return found

    monkeypatch.setattr(nearest, "search", search_and_write)
    flags = ["--embeddings", file, "--like", "0.wav", "--output", tmp_path / "hits.csv"]
    assert cli.main(["search", *map(str, flags)]) == 2
    error = capsys.readouterr().err
    assert f"--embeddings {file} was written again during the search: search once more" in error
    assert not (tmp_path / "hits.csv").exists()
