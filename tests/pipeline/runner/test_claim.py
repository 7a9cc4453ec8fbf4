"""What lets `diptych train` go on in its `--output`, with examples that AudioExampleGen has written."""

import json
import shutil

import pytest
from etils import epath

from components.errors import UserError
from components.trainer import Trainer, TrainerConfig
from pipeline.runner import claim
from tests import corpora
from tests.components import harness, stored_examples
from tests.components.audio_example_gen.stage import audio_example_gen


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two folders of examples. Their clips have the same names, classes and lengths, but other sounds."""
    folder = tmp_path_factory.mktemp("written")
    outputs = {}
    for name, hertz in (("one", 300.0), ("other", 310.0)):
        for index in range(10):
            corpora.write_tone(folder / name / f"{index}.wav", hertz=hertz + 100 * index)
        run = harness.execute(audio_example_gen(source=str(folder / name)), folder / "runs" / name)
        outputs[name] = run.outputs["examples"]
    return outputs


@pytest.fixture
def examples(written, tmp_path):
    return shutil.copytree(written["one"], tmp_path / "examples")


@pytest.fixture
def output(examples, tmp_path):
    """The output of a training that has begun."""
    ask(tmp_path / "output", examples)
    (tmp_path / "output" / "work" / "checkpoints" / "step-00000002").mkdir(parents=True)
    return tmp_path / "output"


def ask(output, examples, **config):
    claim.claim(epath.Path(output), Trainer(TrainerConfig(**config)), examples=str(examples))


def recorded(output):
    return json.loads((output / "config.json").read_text())


def change(output, **fields):
    """Changes fields of `config.json`; None removes one."""
    content = {name: value for name, value in {**recorded(output), **fields}.items() if value is not None}
    (output / "config.json").write_text(json.dumps(content))


@pytest.mark.parametrize("steps", [400_000, 500_000])
def test_other_examples_at_the_same_path_are_refused(written, examples, output, steps):
    shutil.rmtree(examples)
    shutil.copytree(written["other"], examples)
    with pytest.raises(UserError, match=r"another config or other examples \(.*/examples holds others than then\)"):
        ask(output, examples, steps=steps)
    shutil.rmtree(examples)
    shutil.copytree(written["one"], examples)
    ask(output, examples, steps=steps)


def test_other_examples_without_digests_are_known_by_their_sizes(tmp_path):
    def write(seconds):
        shutil.rmtree(tmp_path / "examples", ignore_errors=True)
        stored_examples.write_examples(
            tmp_path / "examples", {"train": [(stored_examples.sound(0, seconds=seconds), (0,), 0)]}
        )

    write(1.0)
    (tmp_path / "output" / "work" / "checkpoints" / "step-00000002").mkdir(parents=True)
    for _ in range(2):
        ask(tmp_path / "output", tmp_path / "examples")
    write(1.1)
    with pytest.raises(UserError, match="holds others than then"):
        ask(tmp_path / "output", tmp_path / "examples")


def test_before_the_first_checkpoint_anything_may_change(written, examples, output):
    (output / "work" / "checkpoints" / "step-00000002").rmdir()
    change(output, version=1)
    ask(output, written["other"], seed=1)
    assert recorded(output)["version"] == Trainer.version
    assert recorded(output)["trainer"]["seed"] == 1


def test_another_version_of_the_trainer_is_refused(examples, output):
    change(output, version=Trainer.version - 1)
    with pytest.raises(UserError, match=r"by version 1 of the Trainer, and this Diptych has version 2: name another"):
        ask(output, examples)


def test_other_libraries_are_said_each_time(examples, output, caplog):
    before = recorded(output)["libraries"]
    assert set(before) == {"keras", "tensorflow"}
    change(output, libraries={**before, "tensorflow": "2.16.0"})
    for steps in (400_000, 500_000):
        caplog.clear()
        ask(output, examples, steps=steps)
        (warning,) = [record.getMessage() for record in caplog.records]
        assert f"began with other libraries (tensorflow 2.16.0 -> {before['tensorflow']}) and goes on" in warning
    assert recorded(output)["libraries"]["tensorflow"] == "2.16.0"


def test_what_an_earlier_diptych_has_not_recorded_is_no_reason_to_complain(written, examples, output, caplog):
    whole = recorded(output)
    change(output, examples_content=None, version=None, libraries=None)
    ask(output, examples)
    assert not caplog.records
    assert recorded(output) == whole
    with pytest.raises(UserError, match="another config or other examples, see"):
        ask(output, examples, seed=1)


@pytest.mark.parametrize("steps", [400_000, 500_000])
def test_fields_that_change_nothing_may_change(examples, output, steps):
    ask(output, examples, steps=steps, collapse_rank=3.0, temperature_steps=5)
    change(output, trainer={**recorded(output)["trainer"], "collapse_rank": 4.0})  # As an earlier Diptych wrote it.
    ask(output, examples, steps=steps, collapse_rank=4.0)
    with pytest.raises(UserError, match="another config"):
        ask(output, examples, steps=steps, initial_temperature=0.5)


@pytest.mark.parametrize("content", ["{", "[]", '{"trainer": 1, "libraries": [], "examples_content": 0}'])
def test_a_damaged_record_of_a_training_that_has_begun_is_refused(examples, output, content):
    (output / "config.json").write_text(content)
    with pytest.raises(UserError, match="another config or other examples, see .*config.json: name"):
        ask(output, examples)
