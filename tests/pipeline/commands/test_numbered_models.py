"""Commands that take a folder of numbered models, as the Pusher writes it: the highest counts."""

import csv
import os
import shutil

import numpy as np
import pytest

from beam_jobs.embedding.embedder import Framing
from diptych import bundled
from pipeline import cli
from pipeline.commands import shared_arguments
from pipeline.evaluation import config
from pipeline.serving.embedding import embed, exported_model, groups
from tests import corpora
from tests.pipeline.refusals import refusal
from tests.pipeline.serving.embedding.projection import NoProgress


class Spectrum:
    """An embedder with the sizes of `exported`, which needs no TensorFlow."""

    framing = Framing(sample_rate=16000, window_samples=8000, hop_samples=4000)
    dims = {"waveform": 16, "log_mel": 16}

    def embed(self, windows):
        bands = np.array_split(np.abs(np.fft.rfft(windows))[:, :1024], 32, axis=1)
        vectors = np.stack([band.mean(axis=1) for band in bands], axis=1).astype(np.float32)
        return {"waveform": vectors[:, :16], "log_mel": vectors[:, 16:]}


@pytest.fixture
def loaded(monkeypatch):
    """The folders that were loaded, in order."""
    folders = []

    def load(self):
        folders.append(self.folder)
        return Spectrum()

    monkeypatch.setattr(exported_model.ExportedModel, "load", load)
    return folders


@pytest.fixture
def pushed(exported, tmp_path):
    """A folder with version 9, with 10, which is no model yet, and with 2."""
    folder = tmp_path / "pushed"
    shutil.copytree(exported, folder / "9")
    (folder / "10").mkdir()
    (folder / "2").mkdir()
    (folder / "2" / "saved_model.pb").write_bytes(b"another one")
    return folder


@pytest.fixture
def sounds(tmp_path):
    """A folder of two tones, each in a sub-folder of its own."""
    for name, hertz in (("low", 200.0), ("high", 2000.0)):
        corpora.write_tone(tmp_path / "in" / name / "a.wav", hertz=hertz)
    return tmp_path / "in"


def test_files_are_embedded_and_searched_with_the_highest(pushed, sounds, loaded, tmp_path):
    table, hits = tmp_path / "x.parquet", tmp_path / "hits.csv"
    assert cli.main(["embed", "--model", str(pushed), "--output", str(table), str(sounds)]) == 0
    search = ["search", "--embeddings", str(table), "--output", str(hits), "-k", "1", str(sounds / "low")]
    for model in (pushed, pushed / "9"):
        assert cli.main([*search, "--model", str(model)]) == 0
        with hits.open(newline="") as file:
            assert [row["file"] for row in csv.DictReader(file)] == [str(sounds / "low" / "a.wav")]
    assert loaded == [str(pushed / "9")] * 3


def test_an_evaluation_is_of_the_highest(pushed, sounds):
    for model in (pushed, pushed / "9"):
        assert config.resolve(model=str(model), data=str(sounds)).embedder.model == str(pushed / "9")


def test_a_folder_without_any_is_one_sentence(pushed, sounds, tmp_path, capsys):
    for number in ("9", "2"):
        shutil.rmtree(pushed / number)
    message = refusal(capsys, "embed", "--model", pushed, "--output", tmp_path / "x.csv", sounds)
    assert f"--model {pushed} is not a SavedModel from Diptych: give " in message
    assert "or a folder of numbered ones" in message


class StopAtTheSecond(NoProgress):
    """Stops the command while it embeds the second file, when the first one is finished."""

    def update(self, done, *, total, unit, **figures):
        if figures["files"] == "2/2":
            raise KeyboardInterrupt


def test_a_version_that_is_pushed_meanwhile_does_not_go_on_with_the_work_of_another(
    pushed, sounds, loaded, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(groups, "MOST_CLIPS", 1)
    output = tmp_path / "x.npz"
    stopped = {"output": str(output), "row": "clip", "restart": False, "progress": StopAtTheSecond()}
    with pytest.raises(KeyboardInterrupt):
        embed.embed(exported_model.given(str(pushed)), [str(sounds)], **stopped)
    shutil.copytree(pushed / "9", pushed / "11")
    (pushed / "11" / "assets" / "another.txt").write_text("content")
    again = ["--output", output, sounds]
    message = refusal(capsys, "embed", "--model", pushed, *again)
    assert f"(the model, {pushed}/9 before and {pushed}/11 now): repeat that command to continue it" in message
    assert not os.path.exists(output)
    assert cli.main(["embed", "--model", *map(str, [pushed / "9", *again])]) == 0
    assert "2 files embedded" in capsys.readouterr().out
    assert loaded == [str(pushed / "9")] * 2


def test_the_help_names_the_bundled_model():
    assert bundled.names() == (shared_arguments.BUNDLED.partition(",")[0],)
