"""Trains a few steps of a tiny model, without the stage around them."""

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf
from etils import epath

from beam_jobs.examples import read_info
from components.trainer import TrainerConfig, building, compiled_loop, input_pipeline, optimizers, validation
from components.trainer.checkpoints import Checkpoints
from components.trainer.model import build_model
from pipeline.configs import overrides

TINY_MODEL = {
    "model.encoders.waveform": "conv160",  # The encoders with the fewest layers, which build fastest.
    "model.encoders.log_mel": "cnn6",
    "model.width": 1 / 64,
    "model.crop_seconds": 0.5,
    "model.projector_dim": 16,
    "model.projector_norm": "batch",
}
TINY = {
    **TINY_MODEL,
    "model.dropout": 0.0,
    "model.mixing_group": 4,
    "model.augment_b.time_mask_seconds": 0.1,
    "model.augment_b.frequency_mask": 5,
    "batch_size": 16,
    "steps": 100,
}
GROUP_NORM = {"model__norm": "group:1", "model__projector_norm": "none"}
IN_MICRO_BATCHES = {"micro_batch": 4, **GROUP_NORM}
# Without the augmentations that depend on the order of the clips in a batch.
ANY_ORDER = {
    "model__augment_a__mixing": False,
    "model__augment_b__mixing": False,
    "model__augment_b__frequency_shift": 0,
    "model__augment_b__frequency_mask": 0,
    "model__augment_b__time_mask_seconds": 0.0,
}
# For what does not depend on the formats: building and tracing the cheapest encoder alone takes a third of the time.
ONE_ENCODER = {
    "model__formats": "waveform+waveform",
    "model__augment_b__frequency_shift": 0,
    "model__augment_b__frequency_mask": 0,
}
REPLICA_STEPS = 3
REPLICA_CONFIGS = {
    "one encoder": {
        "model__dropout": 0.5,
        "model__formats": "log_mel+log_mel",
        "mixing_steps": 2,
        "pairs_per_clip": 2,
    },
    "without mixing": {**ANY_ORDER, "model__formats": "log_mel+log_mel"},  # TensorFlow knows no static batch size then.
    "in whole batches": {"model__dropout": 0.5},
    "all pairs": {"objective": "all", "decoupled": True},
    "in micro-batches": {
        "model__dropout": 0.5,
        "model__formats": "log_mel+log_mel",
        "pairs_per_clip": 2,
        **IN_MICRO_BATCHES,
    },
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """The result of `train`.

    Attributes:
        losses: The loss of each step.
        logs: All logs of the last step.
        weights: The model's weights after the last step.
        optimizer_variables: The optimizer's variables after the last step.
        validated: The result of a validation after the last step, if there was one.
    """

    losses: list[float]
    logs: dict[str, float]
    weights: list[np.ndarray]
    optimizer_variables: list[np.ndarray]
    validated: validation.ValidationResult | None


def config(**changes):
    """Returns the tiny config with changes, e.g. `model__dropout=0.5`."""
    return overrides.replace(TrainerConfig(), {**TINY, **{name.replace("__", "."): v for name, v in changes.items()}})


def set_up(settings, *, strategy, optimizer=None, prepare=None):
    """Builds the step as `components.trainer.train` does, or with another optimizer.

    Args:
        settings: A `TrainerConfig`.
        strategy: The strategy.
        optimizer: Makes an optimizer; by default it is the config's.
        prepare: If given, is called with the initial model before the optimizer is made for its weights.
    """
    keras.utils.set_random_seed(settings.seed + 1)
    with strategy.scope():
        model = build_model(settings.model, seed=settings.seed, precision=settings.precision)
        if prepare:
            prepare(model)
        variables = model.trainable_variables
        factors = optimizers.learning_rate_factors(settings, model=model)
        optimizer = optimizer() if optimizer else optimizers.make(settings, variables=variables, factors=factors)
        optimizer.build(model.trainable_variables)
    return building.connect(settings, model=model, optimizer=optimizer, strategy=strategy)


def checkpoints(setup, folder):
    """Opens the checkpoints of a step's model and optimizer."""
    variables = [*setup.model.variables, *setup.optimizer.variables]
    return Checkpoints(epath.Path(folder), variables=variables, step=setup.optimizer.iterations)


def iterator(setup, examples, *, caching=None):
    """Returns the distributed iterator that the compiled loop takes."""
    options = input_pipeline.InputOptions(
        batch_size=setup.batch_size,
        crop_samples=setup.model.crop_samples,
        seed=setup.seed,
        pairs_per_clip=setup.pairs_per_clip,
    )
    read = functools.partial(
        input_pipeline.training_batches,
        epath.Path(examples),
        options,
        micro_batch=setup.micro_batch,
        with_ids=False,
        times=compiled_loop.times(setup, caching=caching),
    )
    return iter(setup.strategy.distribute_datasets_from_function(lambda host: read(context=host)))


def train(
    settings,
    examples,
    *,
    strategy,
    steps,
    optimizer=None,
    caching=None,
    before_step=None,
    checkpoint_dir=None,
    validates=False,
):
    """Trains one step at a time.

    Args:
        settings: A `TrainerConfig`.
        examples: Folder of the examples.
        strategy: The strategy.
        steps: Number of steps.
        optimizer: Makes an optimizer; by default it is the config's.
        caching: See `compiled_loop.make_loop`.
        before_step: Called with the number of steps done and the model.
        checkpoint_dir: If given, gets a checkpoint of the last step.
        validates: Whether to validate the model after the last step.
    """
    setup = set_up(settings, strategy=strategy, optimizer=optimizer)
    saved = checkpoints(setup, checkpoint_dir) if checkpoint_dir else None
    batches = iterator(setup, examples, caching=caching)
    loop = compiled_loop.make_loop(setup, caching=caching)
    losses = []
    for done in range(steps):
        if before_step:
            before_step(done, setup.model)
        logs, finite_steps = loop(batches, tf.constant(1))
        assert int(finite_steps) == 1
        losses.append(float(logs["loss"]))
    if saved:
        saved.save()
    return Trained(
        losses=losses,
        logs={name: float(value) for name, value in logs.items()},
        weights=setup.model.get_weights(),
        optimizer_variables=[variable.numpy() for variable in setup.optimizer.variables],
        validated=_validate(setup, examples) if validates else None,
    )


def sgd():
    """Makes an optimizer whose steps show a wrong factor of the gradient, which Adam's hide.

    With longer steps the loss jumps about, which amplifies rounding errors from step to step.
    """
    return keras.optimizers.SGD(0.002, momentum=0.9)


def _validate(setup, examples):
    """Validates the model on 16 clips, and embeds them in more than one turn."""
    options = input_pipeline.InputOptions(batch_size=16, crop_samples=setup.model.crop_samples, seed=0)
    return validation.Validation(
        setup.model,
        info=read_info(examples),
        batch=next(iter(input_pipeline.training_batches(epath.Path(examples), options))),
        temperature=0.1,
        probe_clips=0,
        chunk=3,
        strategy=setup.strategy,
    ).run()


def train_on_replicas(way, examples, *, strategy, checkpoint_dir=None):
    """Trains in one of `REPLICA_CONFIGS`, and validates encoders that were trained in whole batches."""
    settings = config(**REPLICA_CONFIGS[way])
    return train(
        settings,
        examples,
        strategy=strategy,
        steps=REPLICA_STEPS,
        optimizer=sgd,
        checkpoint_dir=checkpoint_dir,
        validates=way in ("one encoder", "in whole batches"),
    )


def distance(weights, expected):
    """Returns the distance between two lists of weights, relative to the length of the second."""
    weights, expected = (
        np.concatenate([np.ravel(w).astype(np.float64) for w in arrays]) for arrays in (weights, expected)
    )
    return np.linalg.norm(weights - expected) / np.linalg.norm(expected)
