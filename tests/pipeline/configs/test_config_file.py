"""`--config FILE` takes what `diptych config --json` prints."""

import json
import os
import re

import pytest

from components.synthetic_audio_gen import SyntheticAudioGenConfig
from pipeline import cli
from pipeline.configs import presets, resolve
from pipeline.configs.config import PipelineConfig
from tests.pipeline.refusals import refusal


def printed(capsys, *arguments):
    assert cli.main(["config", *map(str, arguments), "--json"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("preset", list(presets.PRESETS))
@pytest.mark.parametrize("start", [None, "quickstart", "final"])
def test_what_was_printed_is_the_same_config_again(capsys, tmp_path, preset, start):
    """Whatever preset it is put upon, because it names every field."""
    file = tmp_path / "config.json"
    changes = ["embedder.baselines=[]", "trainer.branch_learning_rates=[1,0.5]", "exporter.formats=[litert]"]
    file.write_text(printed(capsys, "--preset", preset, *changes))
    assert resolve.resolve(start, file=str(file)) == resolve.resolve(preset, assignments=changes)


def test_it_replaces_the_preset_and_is_replaced_by_flags_and_overrides(capsys, tmp_path):
    file = tmp_path / "mine.json"
    fields = {"batch_size": 7, "steps": 70, "model": {"augment_b": {"frequency_mask": 3}}}
    file.write_text(json.dumps({"trainer": fields, "audio_example_gen": {"source": "from the file"}}))
    flags = ["--preset", "tiny", "--config", file, "--data", tmp_path, "trainer.steps=700"]
    found = json.loads(printed(capsys, *flags))
    tiny = presets.config("tiny").trainer
    assert found["audio_example_gen"]["source"] == str(tmp_path)
    trainer = found["trainer"]
    assert (trainer["steps"], trainer["batch_size"]) == (700, 7)
    assert trainer["model"]["augment_b"] == {**tiny.model.augment_b.model_dump(), "frequency_mask": 3}
    assert trainer["learning_rate"] == tiny.learning_rate != PipelineConfig().trainer.learning_rate


def test_sections_that_may_be_missing_come_and_go(tmp_path):
    file = tmp_path / "config.json"
    file.write_text('{"synthetic_audio_gen": null, "importer": {"model": "x"}, "trainer": {}}')
    config = resolve.resolve("quickstart", file=str(file))
    assert config.synthetic_audio_gen is None
    assert config.importer.model == "x"
    assert config.trainer == presets.config("quickstart").trainer, "An empty section changes nothing."


def test_fields_that_must_fit_each_other_are_set_at_once(tmp_path):
    file = tmp_path / "config.json"
    model = {"formats": "log_mel+log_mel", "share_encoder": False}
    file.write_text(json.dumps({"trainer": {"branch_learning_rates": [1, 0.5], "model": model}}))
    assert resolve.resolve("tiny", file=str(file)).trainer.branch_learning_rates == (1, 0.5)


def test_the_file_and_the_command_line_understand_a_section_in_the_same_way(tmp_path):
    file = tmp_path / "config.json"
    section = '{"width": 0.5, "encoders": {"waveform": "conv320"}}'
    for start, fields in (("tiny", {"trainer.model": section}), ("small", {"synthetic_audio_gen": "{}"})):
        file.write_text(json.dumps({name: json.loads(text) for name, text in fields.items()}))
        typed = resolve.resolve(start, assignments=[f"{name}={text}" for name, text in fields.items()])
        assert resolve.resolve(start, file=str(file)) == typed != resolve.resolve(start)
    assert typed.synthetic_audio_gen == SyntheticAudioGenConfig()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"trainer": {"stepps": 3}}', "trainer.stepps: there is no such field; did you mean trainer.steps?"),
        ('{"trainr": {"steps": 3}}', "trainr: there is no such field; did you mean trainer?"),
        ('{"trainer": {"model": {"widht": 1}}}', "did you mean trainer.model.width?"),
        ('{"trainer": {"steps": {"a": 1}}}', "trainer.steps: steps is a single value, not a section"),
        ('{"trainer": {"steps": "many"}}', "trainer.steps: must be a whole number, not 'many'"),
        ('{"trainer": {"steps": NaN}}', "trainer.steps: must be a number, not nan"),
        ('{"trainer": [1]}', "trainer: set its fields one by one"),
        ('{"trainer": {"steps": 3, "steps": 4}}', "has the field steps twice"),
        ('{"trainer": {"steps": 5}, "trainer.steps": 6}', "trainer.steps is given twice: remove one"),
        (
            '{"evaluator": {"max_clips": 5}, "embedder.max_clips": 6}',
            "embedder.max_clips is given twice: remove one",
        ),
        (
            '{"synthetic_audio_gen": null, "synthetic_audio_gen.seed": 1}',
            "synthetic_audio_gen is given twice, as a value and by its field synthetic_audio_gen.seed: remove one",
        ),
        ('{"trainer": {"steps": 3}', "is not JSON (Expecting ',' delimiter in line 1, column 25)"),
        ("# Config of preset tiny", "is not JSON"),
        pytest.param(100_000 * "[", "has too many brackets in each other: give what", id="brackets"),
        pytest.param('{"seed": ' + 5000 * "1" + "}", "has a number of too many digits: give what", id="digits"),
        ("[]", "does not hold a JSON object"),
        ("\xff\xfe", "is not a text file"),
        (None, "there is no such file"),
    ],
)
def test_a_wrong_file_is_one_sentence_that_names_it(capsys, tmp_path, text, sentence):
    file = tmp_path / "a config.json"
    if text is not None:
        file.write_bytes(text.encode("latin-1"))
    message = refusal(capsys, "config", "--config", file)
    assert message.startswith(f"diptych: --config {file}")
    assert sentence in message


def test_a_folder_is_refused(capsys, tmp_path):
    assert "is not a text file" in refusal(capsys, "config", "--config", tmp_path)


@pytest.mark.parametrize("command", [["run"], ["config"], ["train", "--examples", "x", "--output", "y"]])
def test_a_preset_or_a_file_is_needed(capsys, command):
    with pytest.raises(SystemExit):
        cli.main(command)
    assert "the following arguments are required: --preset, or --config" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_of_a_file_has_its_name_and_finds_what_the_preset_has_left(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = ["synthetic_audio_gen.clips_train=3", "synthetic_audio_gen.clips_eval=1"]
    (tmp_path / "quickstart.json").write_text(printed(capsys, "--preset", "quickstart", *few))
    until = ["--until", "SyntheticAudioGen"]
    assert cli.main(["run", "--preset", "quickstart", *few, *until]) == 0
    capsys.readouterr()
    assert cli.main(["run", "--config", "quickstart.json", *until, "--plan"]) == 0
    assert re.search(r"SyntheticAudioGen *│ skipped *│ nothing changed since", capsys.readouterr().out)


def test_a_pipe_names_no_root(capsys, tmp_path):
    reader, writer = os.pipe()
    os.write(writer, printed(capsys, "--preset", "quickstart").encode())
    os.close(writer)
    assert "give --preset NAME or --root DIR" in refusal(capsys, "run", "--plan", "--config", f"/dev/fd/{reader}")
    os.close(reader)
