import pytest
import tensorflow as tf

from components.errors import UserError
from components.trainer import building, memory
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


def test_narrow_encoders_get_the_machine_of_one_without_accelerator():
    assert steps.described(steps.resolve(config("tiny")).trainer) == "12 vCPUs, 80 GB, 6 attempts"
    paper = steps.resolve(config("base")).trainer
    assert steps.described(paper) == "96 vCPUs, 680 GB, 8 NVIDIA_TESLA_A100, 6 attempts"


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


def test_a_number_of_accelerators_without_a_type_is_refused():
    with pytest.raises(UserError, match="also give its type, e.g. --step trainer.accelerator=NVIDIA_L4"):
        steps.resolve(config("tiny"), assignments=["trainer.accelerators=4"])
    both = ["trainer.accelerators=4", "trainer.accelerator=NVIDIA_L4"]
    assert steps.resolve(config("tiny"), assignments=both).trainer.accelerators == 4


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["small", "base", "final"])
def test_the_training_of_a_preset_fits_into_its_accelerators(preset):
    trainer, step = config(preset).trainer, steps.resolve(config(preset)).trainer
    assert step.accelerator == "NVIDIA_TESLA_A100"
    share = trainer.batch_size // step.accelerators
    micro_batch = min(share, trainer.micro_batch or share)
    of_one = trainer.model_copy(update={"batch_size": share, "micro_batch": micro_batch})
    one_replica = building.build_step(of_one, strategy=tf.distribute.get_strategy())
    live = memory.StepMemory(one_replica).live_bytes(micro_batch, share)
    assert memory.pool_bytes(live=live) < 0.9 * 40e9


def test_a_step_is_described_in_one_line():
    assert steps.described(steps.StepConfig()) == "4 vCPUs, 16 GB, 3 attempts"
    step = steps.StepConfig(cpu=1, accelerator="NVIDIA_L4", accelerators=2, retries=0, caching=False)
    assert steps.described(step) == "1 vCPU, 16 GB, 2 NVIDIA_L4, 1 attempt, no caching"
