"""Trains the networks of an embedder on rows that are read in random order, and keeps each one's best step."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from components.evaluator.clips import Clips
from components.evaluator.config import EvaluatorConfig
from components.evaluator.features import FeatureSet
from components.evaluator.probes import networks as networks_module
from components.evaluator.probes.networks import Networks
from components.evaluator.probes.pools import Pools
from components.evaluator.probes.validation import BestOf, Validation

LOOK_STEPS = 2000
"""Steps between two looks at the validation clips, or an epoch if that is shorter."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """Networks with the weights of their best steps.

    Attributes:
        networks: The networks.
        steps: Number of steps of the training.
        epoch_steps: Number of steps of an epoch.
        best_steps: Name of the set -> the step whose weights its network has.
    """

    networks: Networks
    steps: int
    epoch_steps: int
    best_steps: dict[str, int]


def train(
    sets: Sequence[FeatureSet],
    pools: Pools,
    clips: Clips,
    validation: Validation,
    *,
    classes: int,
    config: EvaluatorConfig,
) -> Trained:
    """Trains all networks until none has become better at `mlp_patience` looks, or for `mlp_epochs` epochs.

    The features are standardized by the first pool of rows.

    Args:
        sets: The sets of features.
        pools: The training rows.
        clips: The clips that the pools' indices mean, with the labels to learn.
        validation: The clips that choose the best step.
        classes: Number of classes.
        config: The settings of the mlp probe.
    """
    first_pool = next(pools.epoch(0))
    networks = Networks(
        sets,
        statistics=networks_module.measure(first_pool.vectors),
        hidden=config.mlp_hidden,
        classes=classes,
        learning_rate=config.mlp_learning_rate,
        seed=config.seed,
    )
    del first_pool
    rng = np.random.default_rng(config.seed)
    chosen = BestOf([one.name for one in sets], patience=config.mlp_patience)
    epoch_steps = math.ceil(pools.rows / config.mlp_batch_size)
    steps, steps_of_look = 0, [0]
    for epoch in range(config.mlp_epochs):
        for pool in pools.epoch(epoch):
            for vectors, indices in pool.batches(config.mlp_batch_size, rng=rng):
                networks.step(vectors, clips.reordered(indices).targets(classes))
                steps += 1
                if steps - steps_of_look[-1] >= min(LOOK_STEPS, epoch_steps):
                    steps_of_look.append(steps)
                    if not chosen.look(validation.scores(networks), networks):
                        return _best(networks, chosen, steps_of_look, epoch_steps=epoch_steps)
    if steps > steps_of_look[-1]:
        steps_of_look.append(steps)
        chosen.look(validation.scores(networks), networks)
    return _best(networks, chosen, steps_of_look, epoch_steps=epoch_steps)


def _best(networks: Networks, chosen: BestOf, steps_of_look: Sequence[int], *, epoch_steps: int) -> Trained:
    for name, best in chosen.best.items():
        networks.restore(name, best.weights)
    return Trained(
        networks=networks,
        steps=steps_of_look[-1],
        epoch_steps=epoch_steps,
        best_steps={name: steps_of_look[best.look] for name, best in chosen.best.items()},
    )
