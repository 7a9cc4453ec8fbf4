import itertools
import json
import pathlib
import subprocess
import sys
import time

import pytest

from pipeline import cli

REPOSITORY = pathlib.Path(__file__).parents[2]


def refusal(capsys, *arguments):
    """What `diptych` says when it refuses: exactly one sentence."""
    assert cli.main(arguments) == 2
    text = capsys.readouterr().err
    assert text.startswith("diptych: ")
    assert text.count("\n") == 1
    return text


@pytest.mark.parametrize("command", [[], ["run"], ["train"], ["config"], ["status"], ["embed"], ["import-panns"]])
def test_help_reads_well(capsys, command):
    with pytest.raises(SystemExit) as stop:
        cli.main([*command, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text.splitlines()[-1].startswith("  diptych "), "each ends with an example"
    assert max(map(len, text.splitlines())) <= 120


def test_help_and_errors_are_quick():
    started = time.monotonic()
    code = "import sys; from pipeline import cli; print(cli.main(['run', '--preset', 'tinny'])); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert time.monotonic() - started < 5
    assert done.stdout.splitlines()[0] == "2"
    assert not {"tensorflow", "apache_beam", "sklearn", "matplotlib"} & set(done.stdout.split())
    assert "--preset tinny: there is no such preset; did you mean tiny?" in done.stderr


class TestRefusals:
    def test_unknown_preset(self, capsys):
        assert "the presets are quickstart, tiny" in refusal(capsys, "run", "--preset", "zzz")

    def test_no_data(self, capsys):
        assert "give its folder with --data PATH" in refusal(capsys, "run", "--preset", "tiny")

    def test_sample_rates_that_differ(self, capsys, tmp_path):
        arguments = ["run", "--preset", "quickstart", "--root", str(tmp_path), "trainer.model.sample_rate=22050"]
        assert "audio_example_gen.sample_rate=16000 and trainer.model.sample_rate=22050" in refusal(capsys, *arguments)

    def test_missing_folder(self, capsys, tmp_path):
        arguments = ["run", "--preset", "tiny", "--data", str(tmp_path / "gone"), "--root", str(tmp_path / "root")]
        assert str(tmp_path / "gone") in refusal(capsys, *arguments)

    def test_misspelt_field(self, capsys):
        text = refusal(capsys, "config", "--preset", "tiny", "evaluator.prope=linear")
        assert "evaluator.prope: there is no such field; did you mean evaluator.probe?" in text

    def test_wrong_type(self, capsys):
        assert "audio_example_gen.sample_rate" in refusal(
            capsys, "config", "--preset", "tiny", "audio_example_gen.sample_rate=high"
        )

    def test_status_of_nothing(self, capsys, tmp_path):
        assert "There is no run under" in refusal(capsys, "status", "--root", str(tmp_path / "root"))
        assert "--preset NAME or --root DIR" in refusal(capsys, "status")
        assert not (tmp_path / "root").exists()

    def test_unknown_metadata_store(self, capsys, tmp_path):
        arguments = ["run", "--preset", "quickstart", "--root", str(tmp_path), "--metadata", "postgres://x/y"]
        assert "postgres://x/y is not a store" in refusal(capsys, *arguments)

    def test_unknown_stage(self, capsys, tmp_path):
        arguments = ["run", "--preset", "quickstart", "--root", str(tmp_path), "--until", "Statistics"]
        assert "--until Statistics: there is no such stage" in refusal(capsys, *arguments)

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["status", "--preset", "tiny", "--fromm=x"], "diptych status: unrecognized arguments: --fromm=x"),
            (["status", "--preset", "tiny", "word"], "diptych status: unrecognized arguments: word"),
            (["run"], "diptych run: the following arguments are required: --preset"),
            (["rnu"], "diptych: argument COMMAND: invalid choice: 'rnu'"),
        ],
    )
    def test_arguments_that_mean_nothing(self, capsys, arguments, said):
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        assert stop.value.code == 2
        text = capsys.readouterr().err
        assert text.startswith(said)
        assert text.count("\n") == 1
        assert "--help` shows" in text

    def test_empty_and_unknown_places(self, capsys):
        assert "--data is empty" in refusal(capsys, "run", "--preset", "tiny", "--data", "")
        assert "--root foo://x is neither" in refusal(capsys, "run", "--preset", "quickstart", "--root", "foo://x")

    def test_root_that_cannot_be_a_folder(self, capsys, tmp_path):
        (tmp_path / "file").write_text("")
        text = refusal(capsys, "run", "--preset", "quickstart", "--root", str(tmp_path / "file"))
        assert "file cannot be used (" in text
        assert "give a folder" in text

    def test_metadata_that_is_no_store(self, capsys, tmp_path):
        (tmp_path / "metadata.sqlite").write_text("text, and a good deal of it, that is no database" * 50)
        assert "does not open" in refusal(capsys, "run", "--preset", "quickstart", "--root", str(tmp_path))
        assert "does not open" in refusal(capsys, "status", "--root", str(tmp_path))


class TestConfig:
    def test_every_field_has_a_meaning(self, capsys):
        assert cli.main(["config", "--preset", "quickstart"]) == 0
        lines = capsys.readouterr().out.splitlines()
        for line, following in itertools.pairwise(lines):
            if " = " in line and not line.startswith(" "):
                assert following.startswith("    "), f"{line} has no description"
                assert following.strip(), f"{line} has no description"

    def test_overrides_may_stand_anywhere(self, capsys):
        arguments = ["config", "synthetic_audio_gen.seed=7", "--preset", "quickstart", "--json"]
        assert cli.main([*arguments, "synthetic_audio_gen.clips_train=9"]) == 0
        section = json.loads(capsys.readouterr().out)["synthetic_audio_gen"]
        assert (section["seed"], section["clips_train"]) == (7, 9)

    def test_data_takes_the_place_of_the_generated_corpus(self, capsys, tmp_path):
        assert cli.main(["config", "--preset", "quickstart", "--data", str(tmp_path), "--json"]) == 0
        config = json.loads(capsys.readouterr().out)
        assert config["synthetic_audio_gen"] is None
        assert config["audio_example_gen"]["source"] == str(tmp_path)


def test_passwords_are_not_logged():
    typed = ["run", "--metadata", "mysql://me:s3:cr@t@host/db", "trainer.steps=1"]
    assert cli._without_passwords(typed) == "run --metadata mysql://me:...@host/db trainer.steps=1"


def test_first_stages_for_real(capsys, tmp_path):
    """The generated corpus through ingest, as a user runs it; then again, skipped; then what `status` shows."""
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
