"""The Trainer's own step on TensorFlow, for the test that compares: it runs in a process of its own."""

import dataclasses
import pathlib
import sys

import numpy as np
import tensorflow as tf

from components.trainer import building
from components.trainer.config import TrainerConfig
from models.objective import OBJECTIVES


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What a step gave.

    Attributes:
        loss: The loss.
        draws: The random numbers that it used, `(batch, orders * draws_per_example)`.
        gradients: Of the trainable variables, in their order, flat.
    """

    loss: np.ndarray
    draws: np.ndarray
    gradients: np.ndarray


def measure(config: TrainerConfig, crops: np.ndarray, *, weights: pathlib.Path) -> Result:
    """Computes the loss of the first step and its gradients.

    Args:
        config: The Trainer's config.
        crops: int16 `(2, batch, crop_samples)`.
        weights: A `.weights.h5` file of the model.
    """
    step = building.build_step(config, strategy=tf.distribute.get_strategy())
    step.model.load_weights(weights)
    shape = (config.batch_size, len(OBJECTIVES[config.objective].orders) * step.model.draws_per_example)
    draws = tf.random.stateless_uniform(shape, seed=[config.seed, 0])
    with tf.GradientTape() as tape:
        loss, _ = step.loss(step.project({"a": tf.constant(crops[0]), "b": tf.constant(crops[1])}, index=0))
    gradients = [tf.reshape(gradient, [-1]) for gradient in tape.gradient(loss, step.variables)]
    return Result(loss=loss.numpy(), draws=draws.numpy(), gradients=tf.concat(gradients, axis=0).numpy())


def main() -> None:
    """Measures a step of what config.json, crops.npy and model.weights.h5 in a folder hold; writes step.npz there."""
    folder = pathlib.Path(sys.argv[1])
    config = TrainerConfig.model_validate_json((folder / "config.json").read_text())
    result = measure(config, np.load(folder / "crops.npy"), weights=folder / "model.weights.h5")
    np.savez(folder / "step.npz", **dataclasses.asdict(result))


if __name__ == "__main__":
    main()
