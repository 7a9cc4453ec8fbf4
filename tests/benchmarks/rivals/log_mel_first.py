"""Log-mel first: its encoder learns alone, then the waveform's learns from it while it is locked, then both learn.

After LiT (Zhai et al. 2022, "LiT: Zero-Shot Transfer with Locked-image text Tuning"), in which a finished image encoder
is locked while the text's learns from it. Here nothing is finished before, so the three phases share the time equally.
"""

import pathlib

import keras

from components.trainer.config import TrainerConfig
from models.dual import DualEncoder
from pipeline.configs import overrides
from tests.benchmarks.rivals import training
from tests.benchmarks.rivals.methods import Diptych
from tests.benchmarks.rivals.training import Trained

_ALONE = {"model.formats": "log_mel+log_mel", "objective": "cross", "branch_learning_rates": (1.0, 1.0)}
_LOCKED = {"objective": "cross"}  # What `all` adds within log-mel would teach a locked encoder nothing.
_PHASES = 3
_SEED_OF_NEXT = 1000  # Added to the seed, so that a phase does not repeat the crops of the one before.


def train(config: TrainerConfig, examples: pathlib.Path, *, cpu_minutes: float) -> tuple[DualEncoder, Trained]:
    """Trains in the three phases. Each has an optimizer and a schedule of the learning rate of its own.

    Args:
        config: Of the pair, and of the last phase.
        examples: The folder of examples.
        cpu_minutes: The time of all phases together.

    Returns:
        The pair, and how the phases went together; the loss is that of the last one.

    Raises:
        SystemExit: The loss is not finite.
    """
    minutes = cpu_minutes / _PHASES
    # Both crops are shifted, as both log-mel crops are in the other phases.
    shift = {"model.augment_a.frequency_shift": config.model.augment_b.frequency_shift}
    alone = Diptych(overrides.replace(config, {**_ALONE, **shift}), examples)
    phases = [training.train(alone, config, cpu_minutes=minutes)]

    def lock(model: DualEncoder) -> None:
        copy_networks(alone.model, model)
        model.encoders["log_mel"].trainable = False

    second = overrides.replace(config, {**_LOCKED, "seed": config.seed + _SEED_OF_NEXT})
    locked = Diptych(second, examples, prepare=lock)
    phases.append(training.train(locked, config, cpu_minutes=minutes))

    third = overrides.replace(config, {"seed": config.seed + 2 * _SEED_OF_NEXT})
    both = Diptych(third, examples, prepare=lambda model: copy_networks(locked.model, model))
    phases.append(training.train(both, config, cpu_minutes=minutes))
    return both.model, Trained(
        steps=sum(phase.steps for phase in phases),
        cpu_minutes=sum(phase.cpu_minutes for phase in phases),
        minutes=sum(phase.minutes for phase in phases),
        loss=phases[-1].loss,
    )


def copy_networks(source: DualEncoder, target: DualEncoder) -> None:
    """Copies the weights of the projector and of each encoder that both models have."""
    networks: list[tuple[keras.Model, keras.Model]] = [(source.projector, target.projector)]
    networks += [(encoder, target.encoders[name]) for name, encoder in source.encoders.items()]
    for from_network, to_network in networks:
        to_network.set_weights(from_network.get_weights())
