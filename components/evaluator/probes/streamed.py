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
        epochs: The epoch of the last one, counted from 1.
        best: Name of the set -> the step whose weights its network has, and its epoch.
    """

    networks: Networks
    steps: int
    epochs: int
    best: dict[str, tuple[int, int]]


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
    epoch_steps = math.ceil(pools.rows / config.mlp_batch_size)  # Some more, as each pool ends with a batch of its own.
    steps, looks = 0, [(0, 0)]
    for epoch in range(config.mlp_epochs):
        for pool in pools.epoch(epoch):
            for vectors, indices in pool.batches(config.mlp_batch_size, rng=rng):
                networks.step(vectors, clips.reordered(indices).targets(classes))
                steps += 1
                if steps - looks[-1][0] >= min(LOOK_STEPS, epoch_steps):
                    looks.append((steps, epoch + 1))
                    if not chosen.look(validation.scores(networks), networks):
                        return _best(networks, chosen, looks)
    if steps > looks[-1][0]:
        looks.append((steps, config.mlp_epochs))
        chosen.look(validation.scores(networks), networks)
    return _best(networks, chosen, looks)


def _best(networks: Networks, chosen: BestOf, looks: Sequence[tuple[int, int]]) -> Trained:
    """Restores the best weights of each network.

    Args:
        networks: The networks.
        chosen: Their best looks.
        looks: Step and epoch of each look; a first one that is none, because looks are counted from 1.
    """
    for name, best in chosen.best.items():
        networks.restore(name, best.weights)
    steps, epochs = looks[-1]
    return Trained(
        networks=networks,
        steps=steps,
        epochs=epochs,
        best={name: looks[best.look] for name, best in chosen.best.items()},
    )
