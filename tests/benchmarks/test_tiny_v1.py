"""The card of the bundled model, and what the command that makes it does before and after the training."""

import hashlib
import json
import re
import sys

import pytest

import diptych
from diptych import bundled
from tests import corpora
from tests.benchmarks.record import RESULTS
from tests.benchmarks.tiny_v1 import __main__ as command
from tests.benchmarks.tiny_v1 import card

RESULT = RESULTS / "tiny_v1.json"
OTHER = {"score": 0.3, "interval": [0.28, 0.32], "spread": None}
FIGURES = {
    "date": "2026-11-26",
    "machine": {"cpu": "a processor", "cores": 2, "tensorflow": "2.17.1"},
    "files": {"ambience": 90, "samples": 165, "generated": 301},
    "left_out": [],
    "overrides": ["trainer.steps=20"],
    "run": {"clips": 1011, "quarantined": 3, "hours": 2.42, "training": "20 steps", "export": "128 dimensions"},
    "model": {"bytes": 1176348, "sha256": "0" * 64, "window_s": 1.0, "dims": {"waveform": 64, "log_mel": 32}},
    "scores": {"tiny-v1": 0.613, "mfcc_mean_std": 0.4165},
    "intervals": {"tiny-v1": [0.59, 0.63], "mfcc_mean_std": [0.39, 0.44]},
    "knn": {"tiny-v1": OTHER, "mfcc_mean_std": OTHER},
    "few_shot": {"tiny-v1": OTHER, "mfcc_mean_std": OTHER},
}


def test_the_card_says_what_the_figures_say_and_whom_the_sounds_are_of():
    text = card.render(FIGURES)
    assert "| tiny-v1 | 61.3 % (59.0 to 63.0) | 30.0 % (28.0 to 32.0) | 30.0 % (28.0 to 32.0) |" in text
    assert "windows of 1 s, and gives 96 numbers: 64 of the waveform's encoder and 32 of" in text.replace("\n", " ")
    assert "1,011 clips of up to 10 s, 2.4 h in all; 3 were quarantined." in text
    assert "--generated 300 'trainer.steps=20'\n" in text
    for sound, author, place, license_ in card.CREDITS:
        assert f"| [{sound}]({place}) | {author} | {license_} |" in text
    assert not re.search(r"[{}]", text)
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 120


def test_the_command_says_what_was_left_out():
    assert "--leave-out '*noise*' 'trainer.steps=20'\n" in card.render({**FIGURES, "left_out": ["*noise*"]})


def test_the_folder_holds_the_wanted_audio_and_nothing_else(tmp_path):
    for name in ("a.wav", "deep/b.wav", "moodist-c.wav"):
        corpora.write_tone(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("no audio")
    folder = tmp_path / "out"
    assert command.copy(tmp_path / "in", folder, leave_out=[]) == 3
    times = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert command.copy(tmp_path / "in", folder, leave_out=["moodist-*"]) == 2
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == {
        name: times[name] for name in ("a.wav", "deep-b.wav")
    }
    with pytest.raises(SystemExit, match="holds no audio"):
        command.copy(tmp_path / "in", folder, leave_out=["*.wav"])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_one_command_makes_the_model_and_its_card(tmp_path, monkeypatch):
    ambience = [f"ambience/{name}.wav" for name in ("blanket-rain", "blanket-wind", "moodist-rain")]
    for name in (*ambience, "samples/bell.wav"):
        corpora.write_tone(tmp_path / name, seconds=6.0, sample_rate=16000)
    corpora.esc50(tmp_path / "esc50", clips=40)
    flags = [f"--{flag}={tmp_path / flag}" for flag in ("ambience", "samples", "work", "results", "bundled")]
    small = ["trainer.steps=2", "trainer.batch_size=8", "trainer.eval_every=2", "trainer.checkpoint_every=2"]
    argv = ["tiny_v1", *flags, f"--data={tmp_path / 'esc50'}", "--generated=20", *small]
    monkeypatch.setattr(sys, "argv", argv)
    command.main()
    result = json.loads((tmp_path / "results" / "tiny_v1.json").read_text())
    assert result["files"] == {"ambience": 2, "samples": 1, "generated": 21}
    assert result["scores"].keys() == {"tiny-v1", "log_mel_mean_std", "mfcc_mean_std"}
    assert str(tmp_path) not in json.dumps(result)
    folder = tmp_path / "bundled" / "tiny-v1"
    assert (folder / "card.md").read_text() == card.render(result)
    monkeypatch.setattr(bundled, "FOLDER", folder.parent)
    monkeypatch.chdir(tmp_path)
    assert diptych.load("tiny-v1").dim == 128


@pytest.mark.skipif(command.NAME not in bundled.names(), reason="tiny-v1 has not been made yet")
def test_the_bundled_model_and_its_card_are_those_of_the_result_file():
    result = json.loads(RESULT.read_text())
    folder = bundled.FOLDER / command.NAME
    assert hashlib.sha256((folder / bundled.FILE).read_bytes()).hexdigest() == result["model"]["sha256"]
    assert (folder / "card.md").read_text() == card.render(result)
