"""Checkpoints of a run in the stage's work folder, from which a stopped run goes on."""

import os
from collections.abc import Sequence

import keras
import tensorflow as tf
from absl import logging
from etils import epath


class Checkpoints:
    """Weights, optimiser, random state and step: saved together, and read back on construction.

    Args:
        folder: Where they lie; one stage with one config, code and input owns it.
        variables: All Keras variables that a step reads or writes, in an order that is always the same.
        step: The one among them that counts the steps.
        keep: How many of the newest stay.
    """

    def __init__(self, folder: epath.Path, *, variables: Sequence[keras.Variable], step: keras.Variable, keep: int = 2):
        self.folder = folder
        self._step = step
        state = _State({f"variable_{index}": variable.value for index, variable in enumerate(variables)})
        checkpoint = tf.train.Checkpoint(state=state)
        self._manager = tf.train.CheckpointManager(checkpoint, os.fspath(folder), max_to_keep=keep)
        if self._manager.latest_checkpoint:
            checkpoint.restore(self._manager.latest_checkpoint).assert_consumed()
            logging.info("resumed at step %d from %s", self.step, self._manager.latest_checkpoint)
        self.last_saved = self.step

    @property
    def step(self) -> int:
        """Steps done; 0 in a new run."""
        return int(self._step.value.numpy())

    def save(self) -> None:
        """Saves the present state, unless that of this step is saved already."""
        if self.step != self.last_saved:
            self._manager.save(checkpoint_number=self.step)
            self.last_saved = self.step


class _State(tf.Module):
    """Gives each variable a name of its own in the checkpoint; Keras' paths are not unique."""

    def __init__(self, variables: dict[str, tf.Variable]):
        super().__init__()
        for name, variable in variables.items():
            setattr(self, name, variable)
