import itertools
import json

from pipeline import cli
from tests.pipeline.refusals import refusal


def test_every_field_has_a_description(capsys):
    assert cli.main(["config", "--preset", "quickstart"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line, following in itertools.pairwise(lines):
        if " = " in line and not line.startswith(" "):
            assert following.startswith("    "), f"{line} has no description"
            assert following.strip(), f"{line} has no description"


def test_overrides_may_stand_before_and_after_options(capsys):
    arguments = ["config", "synthetic_audio_gen.seed=7", "--preset", "quickstart", "--json"]
    assert cli.main([*arguments, "synthetic_audio_gen.clips_train=9"]) == 0
    section = json.loads(capsys.readouterr().out)["synthetic_audio_gen"]
    assert (section["seed"], section["clips_train"]) == (7, 9)


def test_data_replaces_the_generated_corpus(capsys, tmp_path):
    assert cli.main(["config", "--preset", "quickstart", "--data", str(tmp_path), "--json"]) == 0
    config = json.loads(capsys.readouterr().out)
    assert config["synthetic_audio_gen"] is None
    assert config["audio_example_gen"]["source"] == str(tmp_path)


def test_a_misspelt_field_is_refused(capsys):
    message = refusal(capsys, "config", "--preset", "tiny", "evaluator.prope=linear")
    assert "evaluator.prope: there is no such field; did you mean evaluator.probe?" in message


def test_a_value_of_the_wrong_type_is_refused(capsys):
    message = refusal(capsys, "config", "--preset", "tiny", "audio_example_gen.sample_rate=high")
    assert "audio_example_gen.sample_rate" in message
