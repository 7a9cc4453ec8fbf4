"""`diptych embed` and what works with its tables, with models for LiteRT and ONNX Runtime."""

import numpy as np
import pytest
from etils import epath

import diptych
from pipeline import checksums, cli
from pipeline.commands import exit_status
from tests import corpora
from tests.components.exporter.runtimes import files

LITERT, LITERT_INT8, ONNX, _, ONNX_INT8 = files.SMALL


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files of the model that is also `exported`. Tests must not write to it."""
    return files.small(tmp_path_factory)


def embed(*arguments):
    return cli.main(["embed", *map(str, arguments)])


@pytest.mark.parametrize("variant", [LITERT_INT8, ONNX_INT8], ids=lambda variant: variant.name)
def test_rows_are_those_of_the_python_module(folder, tmp_path, variant, capsys):
    corpora.write_tone(tmp_path / "in" / "a.wav", seconds=1.3, sample_rate=16000)
    corpora.write_tone(tmp_path / "in" / "b.flac", seconds=0.2, sample_rate=44100, hertz=880.0)
    (tmp_path / "in" / "c.wav").write_text("no audio")
    assert embed("--model", folder / variant.file, "--output", tmp_path / "x.npz", tmp_path / "in") == 0
    assert "2 files embedded, 1 quarantined" in capsys.readouterr().out
    embedder = diptych.load(folder / variant.file)
    with np.load(tmp_path / "x.npz") as rows:
        np.testing.assert_array_equal(rows["embedding"], embedder.embed_files(rows["path"].tolist()))
        np.testing.assert_array_equal(np.concatenate([rows["waveform"], rows["log_mel"]], axis=1), rows["embedding"])


def test_a_share_that_is_just_allowed_is_within_the_bound(folder, tmp_path):
    """In floats, 58 % of 50 files are fewer than 29."""
    good, bad = tmp_path / "good.wav", tmp_path / "bad.wav"
    corpora.write_tone(good, seconds=0.1)
    bad.write_text("no audio")
    command = ("--model", folder / LITERT.file, "--output", tmp_path / "x.npz", *21 * [good], *29 * [bad])
    assert embed("--max-quarantine", "58%", *command) == exit_status.OK
    assert embed("--max-quarantine", "57.9%", *command) == exit_status.TOO_MANY_QUARANTINED


@pytest.mark.parametrize("variant", [LITERT, ONNX], ids=lambda variant: variant.name)
def test_windows_are_those_of_the_saved_model(exported, folder, tmp_path, variant):
    corpora.write_tone(tmp_path / "a.wav", seconds=1.3, sample_rate=16000)
    for name, model in (("file", folder / variant.file), ("saved_model", exported)):
        assert embed("--model", model, "--windows", "--output", tmp_path / f"{name}.npz", tmp_path / "a.wav") == 0
    with np.load(tmp_path / "file.npz") as rows, np.load(tmp_path / "saved_model.npz") as expected:
        assert set(rows) == set(expected)
        for name in rows:
            if rows[name].dtype == np.float32:
                np.testing.assert_allclose(rows[name], expected[name], atol=1e-5)
            else:
                np.testing.assert_array_equal(rows[name], expected[name])


def test_a_search_takes_the_file_that_made_the_embeddings_and_no_other(exported, folder, tmp_path, capsys):
    for hertz in (200, 2000):
        corpora.write_tone(tmp_path / "in" / f"{hertz}.wav", hertz=float(hertz))
    table, query = tmp_path / "x.parquet", tmp_path / "in" / "200.wav"
    assert embed("--model", folder / ONNX.file, "--output", table, tmp_path / "in") == 0
    capsys.readouterr()
    search = ["search", "--embeddings", str(table), str(query)]
    assert cli.main([*search, "--model", str(folder / ONNX.file)]) == 0
    assert "200.wav" in capsys.readouterr().out
    for other in (exported, folder / LITERT.file):
        assert cli.main([*search, "--model", str(other)]) == 2
        assert f"--model {other} is not the model that made --embeddings {table}" in capsys.readouterr().err


def test_a_head_is_saved_with_a_saved_model_only(folder, tmp_path, capsys):
    for label, hertz in (("low", 200.0), ("high", 2000.0)):
        for i in range(2):
            corpora.write_tone(tmp_path / "in" / label / f"{i}.wav", hertz=hertz + i)
    table = str(tmp_path / "x.parquet")
    assert embed("--model", folder / ONNX.file, "--output", table, tmp_path / "in") == 0
    capsys.readouterr()
    arguments = ["--embeddings", table, "--labels", str(tmp_path / "in"), "--output", str(tmp_path / "head")]
    assert cli.main(["classify", *arguments, "--model", str(folder / ONNX.file)]) == 2
    error = capsys.readouterr().err.strip()
    assert "a head is saved with a SavedModel" in error
    assert error.count("\n") == 0
    assert not (tmp_path / "head").exists()


def flip(content):
    return bytes([*content[: len(content) // 2], content[len(content) // 2] ^ 4, *content[len(content) // 2 + 1 :]])


@pytest.mark.parametrize("variant", [LITERT, ONNX], ids=lambda variant: variant.name)
def test_a_file_that_is_not_as_it_was_published_is_one_sentence(folder, tmp_path, capsys, variant):
    model = epath.Path(tmp_path / "5")
    file = model / variant.file
    file.parent.mkdir(parents=True)
    content = (folder / variant.file).read_bytes()
    file.write_bytes(content)
    checksums.write(model, staged=model)
    corpora.write_tone(tmp_path / "a.wav")
    for damaged in (flip(content), content[: len(content) // 2], b""):
        file.write_bytes(damaged)
        assert embed("--model", file, "--output", tmp_path / "x.npz", tmp_path / "a.wav") == 2
        error = capsys.readouterr().err.strip()
        assert error.startswith(f"diptych: --model: {file} ")
        assert "copy it again" in error
        assert error.count("\n") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["5", "5.sha256", "a.wav"]


def test_what_is_no_such_model_is_one_sentence(tmp_path, capsys):
    corpora.write_tone(tmp_path / "a.wav")
    (tmp_path / "model.onnx").mkdir()
    (tmp_path / "other.onnx").write_text("text")
    messages = {
        "nowhere.tflite": "--model: There is no model {file}: give the SavedModel",
        "model.onnx": "--model {file} is not a SavedModel from Diptych",
        "other.onnx": "--model: {file} cannot be loaded",
    }
    for name, message in messages.items():
        file = tmp_path / name
        assert embed("--model", file, "--output", tmp_path / "x.npz", tmp_path / "a.wav") == 2
        error = capsys.readouterr().err.strip()
        assert message.format(file=file) in error
        assert error.count("\n") == 0
