"""Builds the training step that a config describes."""

import keras
import tensorflow as tf

from components.trainer import optimizers, schedules, step
from components.trainer.config import TrainerConfig
from components.trainer.model import build_model
from models.dual import DualEncoder
from models.objective import OBJECTIVES


def build_step(config: TrainerConfig, *, strategy: tf.distribute.Strategy) -> step.TrainingStep:
    """Builds the untrained model, its optimizer and its step. A resumed run builds the same ones.

    Raises:
        UserError: The config has no model. The message names the field.
    """
    # The seed is not 0, because under a global seed of 0 `Dataset.shuffle` accepts no tensor as its seed.
    keras.utils.set_random_seed(config.seed + 1)
    with strategy.scope():
        model = build_model(config.model, seed=config.seed, precision=config.precision)
        optimizer = optimizers.make(
            config,
            variables=model.trainable_variables,
            factors=optimizers.learning_rate_factors(config, model=model),
        )
    return connect(config, model=model, optimizer=optimizer, strategy=strategy)


def connect(
    config: TrainerConfig, *, model: DualEncoder, optimizer: keras.Optimizer, strategy: tf.distribute.Strategy
) -> step.TrainingStep:
    """Returns the step that trains a model with an optimizer. Both were built in the scope of the strategy."""
    return step.TrainingStep(
        model,
        optimizer,
        strategy=strategy,
        batch_size=config.batch_size,
        micro_batch=config.micro_batch_size(replicas=strategy.num_replicas_in_sync),
        objective=OBJECTIVES[config.objective],
        decoupled=config.decoupled,
        pairs_per_clip=config.pairs_per_clip,
        temperature=schedules.temperature(config),
        mixing_share=schedules.mixing_share(config),
        seed=config.seed,
    )
