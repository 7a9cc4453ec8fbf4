"""How contenders are trained. Diptych and SimCLR take the Trainer's own steps; see `cola` and `byol_a` for the others.

SimCLR is Diptych with one format: a format is then contrasted with itself, between two crops.
"""

import pathlib
from collections.abc import Callable, Sequence
from typing import Protocol

import keras
import tensorflow as tf
from etils import epath

from components.trainer import compiled_loop, input_pipeline, optimizers
from components.trainer.config import TrainerConfig
from components.trainer.input_pipeline import Batch
from components.trainer.model import build_model
from models.dual import DualEncoder
from tests.benchmarks.train_step import on_one_device


class Method(Protocol):
    """Trains a model step by step.

    Attributes:
        model: What is trained. Its encoders give the embeddings.
        optimizer: Its learning rate is set from outside.
    """

    model: DualEncoder
    optimizer: keras.Optimizer

    def step(self) -> float:
        """Takes one step on the next batch, and returns its loss."""


class Diptych:
    """The Trainer's own step.

    Args:
        config: The Trainer's config.
        examples: The folder of examples.
        prepare: If given, is called with the initial model before the optimizer is made for its weights.
    """

    def __init__(
        self,
        config: TrainerConfig,
        examples: pathlib.Path,
        *,
        prepare: Callable[[DualEncoder], None] | None = None,
    ):
        training_step, self._iterators = on_one_device(config, examples, prepare=prepare)
        self.model, self.optimizer = training_step.model, training_step.optimizer
        self._take_steps = compiled_loop.make_loop(training_step)

    def step(self) -> float:
        logs, _ = self._take_steps(self._iterators, tf.constant(1))
        return float(logs["loss"])


class OneEncoder:
    """Base class of the rivals with a loss of their own. They train the log-mel encoder of a `DualEncoder`.

    So their models are stored and embedded as Diptych's are. The projector of the `DualEncoder` is not used.

    Args:
        config: Its model has the formats `log_mel+log_mel`, one encoder for both, and no augmentation.
        examples: The folder of examples.
    """

    def __init__(self, config: TrainerConfig, examples: pathlib.Path):
        keras.utils.set_random_seed(config.seed + 1)
        self.model = build_model(config.model, seed=config.seed)
        (self.encoder,) = self.model.encoders.values()
        (self.front_end,) = self.model.front_ends.values()
        self.heads = self.build_heads()
        trained: Sequence[keras.Model] = (self.encoder, *self.heads)
        self._variables = [variable for network in trained for variable in network.trainable_variables]
        self.optimizer = optimizers.make(config, variables=self._variables)
        options = input_pipeline.InputOptions(
            batch_size=config.batch_size, crop_samples=self.model.crop_samples, seed=config.seed
        )
        batches = input_pipeline.training_batches(epath.Path(examples), options, with_ids=False)
        self._batches = iter(batches)
        self._train_on = tf.function(self._update, autograph=False)

    def step(self) -> float:
        return float(self._train_on(next(self._batches)))

    def build_heads(self) -> Sequence[keras.Model]:
        """Returns the trained networks on top of the encoder, built."""
        raise NotImplementedError

    def loss(self, batch: Batch) -> tf.Tensor:
        """Returns the loss of a batch, float32 ()."""
        raise NotImplementedError

    def after_update(self) -> None:
        """Is called after each update of the weights."""

    def _update(self, batch: Batch) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = self.loss(batch)
        gradients = tape.gradient(loss, [variable.value for variable in self._variables])
        self.optimizer.apply_gradients(zip(gradients, self._variables, strict=True))
        self.after_update()
        return loss
