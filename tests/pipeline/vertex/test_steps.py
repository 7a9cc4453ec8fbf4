import pytest

from components.errors import UserError
from pipeline import dag
from pipeline.configs import overrides, presets
from pipeline.configs.config import PipelineConfig
from pipeline.vertex import steps


def test_there_is_a_step_for_each_section_of_the_config():
    assert set(steps.StepsConfig.model_fields) == set(PipelineConfig.model_fields)
    assert len(dag.COMPONENTS) == len(PipelineConfig.model_fields)


def config(preset, **fields):
    return overrides.replace(presets.config(preset), fields)


def test_narrow_encoders_need_no_accelerator():
    assert steps.resolve(config("base")).trainer.accelerator
    tiny = config("tiny")
    assert not any(getattr(steps.resolve(tiny), name).accelerator for name in steps.StepsConfig.model_fields)
    assert steps.resolve(tiny, assignments=["trainer.accelerator=NVIDIA_L4"]).trainer.accelerator == "NVIDIA_L4"
    assert steps.resolve(config("tiny", **{"trainer.model.width": 1.0})).trainer.accelerator


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("trainer.cpus=3", "--step trainer.cpus: there is no such field; did you mean trainer.cpu?"),
        ("trainer.cpu=0", "--step trainer.cpu: must be at least 1, not 0."),
        ("trainer.cpu=0.5", "--step trainer.cpu: must be a whole number, not 0.5."),
        ("Trainer.cpu=3", "--step Trainer.cpu: there is no such field; did you mean trainer.cpu?"),
        ("trainer", "--step 'trainer' is not an override"),
    ],
)
def test_wrong_steps_are_refused(assignment, message):
    with pytest.raises(UserError) as error:
        steps.resolve(config("base"), assignments=[assignment])
    assert str(error.value).startswith(message)


def test_a_step_is_described_in_one_line():
    assert steps.described(steps.StepConfig()) == "4 vCPUs, 16 GB, 3 attempts"
    step = steps.StepConfig(cpu=1, accelerator="NVIDIA_L4", accelerators=2, retries=0, caching=False)
    assert steps.described(step) == "1 vCPU, 16 GB, 2 NVIDIA_L4, 1 attempt, no caching"
