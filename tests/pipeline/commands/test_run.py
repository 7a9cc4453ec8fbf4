import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import types

import pytest
from etils import epath

from pipeline import cli
from pipeline.commands import running
from pipeline.console import report
from pipeline.root import Root
from pipeline.runner.local import LocalRunner
from tests import corpora
from tests.pipeline.refusals import refusal
from tests.pipeline.runner import stages

REPOSITORY = pathlib.Path(__file__).parents[3]


class TestRefusals:
    def test_unknown_preset(self, capsys):
        assert "the presets are quickstart, tiny" in refusal(capsys, "run", "--preset", "zzz")

    def test_no_data(self, capsys):
        assert "give its folder with --data PATH" in refusal(capsys, "run", "--preset", "tiny")

    def test_sample_rates_that_differ(self, capsys, tmp_path):
        arguments = ["run", "--preset", "quickstart", "--root", tmp_path, "trainer.model.sample_rate=22050"]
        assert "audio_example_gen.sample_rate=16000 and trainer.model.sample_rate=22050" in refusal(capsys, *arguments)

    def test_missing_folder(self, capsys, tmp_path):
        arguments = ["run", "--preset", "tiny", "--data", tmp_path / "gone", "--root", tmp_path / "root"]
        assert str(tmp_path / "gone") in refusal(capsys, *arguments)

    def test_unknown_metadata_store(self, capsys, tmp_path):
        arguments = ["run", "--preset", "quickstart", "--root", tmp_path, "--metadata", "postgres://x/y"]
        assert "postgres://x/y is not a store" in refusal(capsys, *arguments)

    @pytest.mark.parametrize("flag", ["--root", "--config", "--metadata"])
    def test_an_empty_flag_of_a_place(self, capsys, tmp_path, monkeypatch, flag):
        monkeypatch.chdir(tmp_path)
        arguments = ["run", "--preset", "quickstart", "--plan", flag, ""]
        assert refusal(capsys, *arguments) == f"diptych: {flag} is empty: name a place, or leave it out.\n"

    def test_unknown_stage(self, capsys, tmp_path):
        arguments = ["run", "--preset", "quickstart", "--root", tmp_path, "--until", "Statistics"]
        assert "--until Statistics: there is no such stage" in refusal(capsys, *arguments)

    def test_empty_data(self, capsys):
        assert "--data is empty" in refusal(capsys, "run", "--preset", "tiny", "--data", "")

    def test_empty_import(self, capsys):
        said = refusal(capsys, "run", "--preset", "tiny", "--import", "")
        assert said == "diptych: --import is empty: give the folder of a model.\n"

    def test_root_with_an_unknown_scheme(self, capsys):
        assert "--root foo://x is neither" in refusal(capsys, "run", "--preset", "quickstart", "--root", "foo://x")

    def test_root_that_is_a_file(self, capsys, tmp_path):
        (tmp_path / "file").write_text("")
        message = refusal(capsys, "run", "--preset", "quickstart", "--root", tmp_path / "file")
        assert "file cannot be used (" in message
        assert "give a folder" in message

    def test_metadata_file_that_is_not_a_database(self, capsys, tmp_path):
        (tmp_path / "metadata.sqlite").write_text("text, and a good deal of it, that is no database" * 50)
        assert "is damaged (file is not a database)" in refusal(
            capsys, "run", "--preset", "quickstart", "--root", tmp_path
        )
        assert "is damaged (file is not a database)" in refusal(capsys, "status", "--root", tmp_path)


def test_passwords_are_not_logged():
    typed = ["run", "--metadata", "mysql://me:s3:cr@t@host/db", "trainer.steps=1"]
    assert running.without_passwords(typed) == "run --metadata mysql://me:...@host/db trainer.steps=1"


def test_the_first_stages_run_once_and_are_then_skipped(capsys, tmp_path):
    """Runs the real stages from the generated corpus to its examples, twice, and then shows the status."""
    arguments = ["run", "--preset", "quickstart", "--root", str(tmp_path), "--until", "AudioExampleGen"]
    small = ["synthetic_audio_gen.clips_train=12", "synthetic_audio_gen.clips_eval=3"]
    assert cli.main([*arguments, *small]) == 0
    assert "AudioExampleGen: runs, first run" in capsys.readouterr().out
    assert cli.main([*arguments, *small]) == 0
    assert "AudioExampleGen: skipped, nothing changed since" in capsys.readouterr().out
    assert cli.main(["status", "--root", str(tmp_path)]) == 0
    assert "not run" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    assert {row["stage"]: row["outcome"] for row in report["stages"]}["AudioExampleGen"] == "skipped"
    assert len(list((tmp_path / "logs").glob("*.log"))) >= 1


@pytest.mark.parametrize("place", ["lock", "unlock", "report"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_outside_of_the_stages_is_answered_too(capsys, tmp_path, monkeypatch, place, number, status):
    def be_interrupted(*arguments, **options):
        os.kill(os.getpid(), number)
        time.sleep(60)

    @contextlib.contextmanager
    def lock(root):
        if place == "lock":
            be_interrupted()
        yield
        if place == "unlock":
            be_interrupted()

    monkeypatch.setattr(Root, "lock", lock)
    monkeypatch.setattr(LocalRunner, "run", lambda *arguments, **options: None)
    result = types.SimpleNamespace(to_json=lambda: "{}")
    monkeypatch.setattr(report, "build", be_interrupted if place == "report" else lambda *_, **__: result)
    monkeypatch.setattr(report, "show", lambda *arguments: None)
    assert cli.main(["run", "--preset", "quickstart", "--root", str(tmp_path)]) == status
    assert "nothing incomplete was published, and the same command continues" in capsys.readouterr().out


class TestPlan:
    def test_it_writes_nothing_and_says_what_would_run(self, capsys, tmp_path):
        root = tmp_path / "root"
        assert cli.main(["run", "--preset", "quickstart", "--root", str(root), "--plan"]) == 0
        out = capsys.readouterr().out
        assert re.search(r"SyntheticAudioGen *│ runs *│ first run", out)
        assert "nothing was written" in out
        assert not root.exists()

    def test_it_refuses_what_a_run_refuses(self, capsys, tmp_path):
        plan = ["run", "--plan", "--preset", "quickstart", "--root"]
        assert "trainer.stepps" in refusal(capsys, *plan, tmp_path, "trainer.stepps=1")
        assert "trainer.warmup_steps=9" in refusal(capsys, *plan, tmp_path, "trainer.warmup_steps=9", "trainer.steps=9")
        (tmp_path / "file").write_text("")
        assert "is a file): give a folder" in refusal(capsys, *plan, tmp_path / "file" / "below")
        (tmp_path / "metadata.sqlite").write_text("text, and a good deal of it, that is no database" * 50)
        assert "is damaged (file is not a database)" in refusal(capsys, *plan, tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "metadata.sqlite"]

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user who may not write")
    def test_a_root_that_may_only_be_read_and_is_in_use(self, tmp_path):
        becoming_another = ["setpriv", "--reuid", "12345", "--clear-groups", sys.executable]
        if subprocess.run([*becoming_another, "-c", ""], stderr=subprocess.DEVNULL).returncode:
            pytest.skip("this Python lies where another user may not read")
        stages.run(tmp_path / "root", stages.build())
        for path in (tmp_path, *tmp_path.parents):
            if path.stat().st_uid == os.geteuid() and str(path).startswith(tempfile.gettempdir() + "/"):
                path.chmod(0o755)
        command = [*becoming_another, "-m", "pipeline.cli", "run", "--plan", "--preset", "quickstart", "--root"]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "60"}
        with Root(epath.Path(tmp_path / "root")).lock():
            done = subprocess.run(
                [*command, str(tmp_path / "root")],
                cwd=REPOSITORY,
                env=environment,
                capture_output=True,
                text=True,
            )
        assert (done.returncode, done.stderr) == (0, "")
        assert "SyntheticAudioGen" in done.stdout


def test_a_source_that_holds_the_root_is_read_once_and_then_skipped(capsys, tmp_path, monkeypatch):
    """Runs `diptych run --data .`, which writes its root below the source, twice."""
    for name in ("a.wav", "1/2/3/4/b.flac"):
        corpora.write_tone(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "latest").symlink_to(".")
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "--preset", "tiny", "--data", ".", "--until", "AudioExampleGen"]
    assert cli.main(arguments) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "2 clips in " in printed
    assert "; left out 1 file that ends in .txt; no labels were found: " in printed
    for folder in ("work", "artifacts", "logs"):
        (tmp_path / "runs" / "tiny" / folder).mkdir(exist_ok=True)
        (tmp_path / "runs" / "tiny" / folder / "quarantine.csv").touch()
    assert cli.main(arguments) == 0
    assert "AudioExampleGen: skipped, nothing changed since" in capsys.readouterr().out
    (tmp_path / "latest").unlink()
    corpora.write_tone(tmp_path.parent / f"{tmp_path.name} elsewhere" / "c.wav")
    (tmp_path / "more").symlink_to(tmp_path.parent / f"{tmp_path.name} elsewhere")
    assert cli.main(arguments) == 0
    assert "3 clips in " in capsys.readouterr().out
