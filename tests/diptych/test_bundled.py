"""Models that come with Diptych, by their names. Most tests do with a folder of their own for those of the package."""

import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import requests

import diptych
from components import embedding_info
from diptych import bundled
from pipeline import cli
from tests import corpora
from tests.components.exporter.runtimes import files
from tests.diptych import light
from tests.pipeline.refusals import refusal
from tests.pipeline.serving.server.running import PREDICT, ask, error_of, running

ROOT = pathlib.Path(__file__).parents[2]
MOST_BYTES = 2_000_000


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A `.tflite` file of a small model."""
    return files.small(tmp_path_factory) / files.SMALL[0].file


@pytest.fixture
def packaged(file, tmp_path, monkeypatch):
    """Makes this model the only one that comes with Diptych, `small-v1`. The working directory is an empty folder."""
    folder = tmp_path / "package" / "small-v1"
    folder.mkdir(parents=True)
    shutil.copy(file, folder / bundled.FILE)
    (folder.parent / "unfinished").mkdir()
    monkeypatch.setattr(bundled, "FOLDER", folder.parent)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    corpora.write_tone(tmp_path / "a.wav", seconds=1.3, sample_rate=16000)
    return tmp_path


def test_a_name_loads_the_file(packaged, file):
    assert bundled.names() == ("small-v1",)
    named, expected = (diptych.load(model).embed_file(packaged / "a.wav") for model in ("small-v1", file))
    np.testing.assert_array_equal(named, expected)


def test_what_lies_at_the_path_wins(packaged):
    pathlib.Path("small-v1").mkdir()
    with pytest.raises(diptych.DiptychError, match="small-v1 is no SavedModel"):
        diptych.load("small-v1")
    pathlib.Path("small-v1").rename("other")
    assert diptych.load("small-v1").dim


def test_an_unknown_name_lists_the_known_ones(packaged, capsys):
    with pytest.raises(diptych.MissingError, match="There is no model small-v2: give .*, or a bundled model, small-v1"):
        diptych.load("small-v2")
    for label in ("low", "high"):
        corpora.write_tone(packaged / "sounds" / label / "a.wav")
    for arguments in (
        ["embed", "--model", "small-v2", "../a.wav"],
        ["serve", "--model", "small-v2"],
        ["evaluate", "--model", "small-v2", "--data", str(packaged / "sounds")],
    ):
        assert "small-v1" in refusal(capsys, *arguments)


def test_sounds_are_embedded_and_searched_by_name(packaged, capsys):
    assert cli.main(["embed", "--model", "small-v1", "--output", "x.parquet", "../a.wav"]) == 0
    assert cli.main(["search", "--model", "small-v1", "--embeddings", "x.parquet", "../a.wav"]) == 0
    assert "a.wav" in capsys.readouterr().out


def test_a_server_has_it_by_name(packaged):
    embedder = diptych.load("small-v1")
    sounds = {seconds: corpora.tone(seconds=seconds, sample_rate=16000).astype(float) for seconds in (0.1, 0.5, 1.3)}
    with running("small-v1") as server:
        for sound in sounds.values():
            answer = ask(server, PREDICT, {"instances": [sound.tolist(), (0.5 * sound).tolist()]})
            assert answer.status_code == 200, answer.text
            for row, volume in zip(answer.json()["predictions"], (1.0, 0.5), strict=True):
                np.testing.assert_allclose(row["embedding"], embedder.embed(volume * sound, 16000), atol=1e-3)
                np.testing.assert_array_equal(row["embedding"], row["waveform"] + row["log_mel"])
        asked = {"signature_name": "windows", "inputs": [sounds[1.3].tolist()]}
        windows = ask(server, PREDICT, asked).json()["outputs"]
        assert windows["start_s"] == [[0.0, 0.25, 0.5, 0.75, pytest.approx(0.8)]]
        assert windows["end_s"] == [[0.5, 0.75, 1.0, 1.25, pytest.approx(1.3)]]
        assert np.shape(windows["embedding"]) == (1, 5, embedder.dim)
        assert "audio has no samples" in error_of(ask(server, PREDICT, {"inputs": [[]]}), status=400)
        metadata = ask(server, "/v1/models/diptych/metadata").json()["metadata"]
        output = metadata["signature_def"]["signature_def"]["serving_default"]["outputs"]["embedding"]
        assert [dim["size"] for dim in output["tensor_shape"]["dim"]] == ["-1", str(embedder.dim)]
        assert requests.get(server.url, timeout=10).status_code == 200


@pytest.mark.parametrize("name", bundled.names())
def test_each_model_of_the_package_is_small_described_and_works_after_the_light_install(name, tmp_path):
    model = pathlib.Path(bundled.resolve(name))
    assert model.stat().st_size <= MOST_BYTES
    info = embedding_info.in_tflite(model.read_bytes(), source=name)
    card = (model.parent / "card.md").read_text()
    assert card.startswith(f"# {name}\n")
    for heading in ("Data", "Licenses", "Command", "Scores", "Limits"):
        assert f"\n## {heading}\n" in card
    corpora.write_format(tmp_path / "rain.mp3", seconds=3.0)
    code = f"import diptych; print(diptych.load({name!r}).embed_file({str(tmp_path / 'rain.mp3')!r}).shape)"
    command = [sys.executable, "-m", "tests.diptych.light", code]
    done = subprocess.run(command, cwd=light.ROOT, capture_output=True, text=True)
    assert done.stdout == f"({info.dim},)\n", done.stderr


def test_the_wheel_has_whatever_is_in_the_folders():
    config = (ROOT / "setup.cfg").read_text()
    patterns = re.search(r"^diptych\.bundled =\n((?:    .*\n)+)", config, re.MULTILINE)[1].split()
    package = ROOT / "diptych" / "bundled"
    packed = {file for pattern in patterns for file in package.glob(pattern)}
    assert {file for folder in package.glob("*-v*") for file in folder.iterdir()} == packed
