"""Builds the untrained model."""

import tensorflow as tf

from components.errors import UserError
from models.config import ModelConfig
from models.dual import DualEncoder
from models.layers import BatchNormalization


def build_model(config: ModelConfig, *, seed: int, precision: str = "float32") -> DualEncoder:
    """Builds the untrained model for the replicas of the strategy in scope.

    Seed Keras first: its random generator decides the initial weights.

    Args:
        config: The model's config.
        seed: Seed of the augmentations.
        precision: "float32" or "bfloat16", in which the encoders and the projector compute. Weights are always
            float32.

    Raises:
        UserError: The config has no model. The message names the field.
    """
    dtype = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    try:
        model = DualEncoder(config, seed=seed, dtype=dtype)
    except ValueError as error:
        raise UserError(f"trainer.model: {error}.") from error
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    layers = [layer for encoder in model.encoders.values() for layer in encoder.layers]
    for layer in (*layers, model.projector.normalize):
        if isinstance(layer, BatchNormalization):
            layer.replicas = replicas
    return model
