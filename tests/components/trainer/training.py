"""A few steps of training, without the stage around them; also as a program, for what needs a process of its own.

`python -m tests.components.trainer.training EXAMPLES OUTPUT REPLICAS` trains on REPLICAS logical CPU devices and keeps
a checkpoint beside the output.
"""

import contextlib
import functools
import json
import os
import pickle
import socket
import sys

import keras
import numpy as np
import tensorflow as tf
from etils import epath

from components.trainer import TrainerConfig, checks, compiled_loop, input_pipeline, optimizers, step, strategies
from components.trainer.checkpoints import Checkpoints
from pipeline.configs import overrides

TINY_MODEL = {
    "model.encoders.waveform": "conv160",  # the ones with the fewest layers, which build fastest
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
IN_PARTS = {"micro_batch": 4, **GROUP_NORM}
# What does not depend on the order of the clips in a batch.
WHOLE_CLIPS = {
    **{f"model__augment_{branch}__mixing": False for branch in "ab"},
    "model__augment_b__frequency_shift": 0,
    "model__augment_b__frequency_mask": 0,
    "model__augment_b__time_mask_seconds": 0.0,
}
STEPS = 20


def config(**changes):
    return overrides.replace(TrainerConfig(), {**TINY, **{name.replace("__", "."): v for name, v in changes.items()}})


def set_up(settings, *, strategy, optimizer=None):
    """What `components.trainer.train` makes of a config."""
    keras.utils.set_random_seed(1)
    with strategy.scope(), strategies.precision(settings.precision, strategy=strategy):
        model = checks.build_model(settings.model, seed=settings.seed)
        optimizer = optimizer() if optimizer else optimizers.make(settings, variables=model.trainable_variables)
        optimizer.build(model.trainable_variables)
    return step.Setup(
        model=model,
        optimizer=optimizer,
        strategy=strategy,
        batch_size=settings.batch_size,
        micro_batch=checks.check_split(settings, replicas=strategy.num_replicas_in_sync),
        temperature=settings.temperature,
        seed=settings.seed,
    )


def checkpoints(setup, folder):
    """Those of the Trainer."""
    variables = [*setup.model.variables, *setup.optimizer.variables]
    return Checkpoints(epath.Path(folder), variables=variables, step=setup.optimizer.iterations)


def iterators(setup, examples, *, count):
    """So many over the same micro-batches, as the Trainer makes them."""
    read = functools.partial(
        input_pipeline.training_batches,
        epath.Path(examples),
        batch_size=setup.batch_size,
        micro_batch=setup.micro_batch,
        crop_samples=setup.model.crop_samples,
        seed=setup.seed,
        with_ids=False,
    )
    return [
        iter(setup.strategy.distribute_datasets_from_function(lambda host: read(context=host))) for _ in range(count)
    ]


def train(settings, examples, *, strategy, steps, optimizer=None, caching=None, every=(0, None), keep=None):
    """The loss of each step, all logs of the last one, and in the end the weights and the optimiser's variables."""
    setup = set_up(settings, strategy=strategy, optimizer=optimizer)
    model, optimizer = setup.model, setup.optimizer
    kept = checkpoints(setup, keep) if keep else None
    inputs = iterators(setup, examples, count=2 if caching or setup.micro_batches > 1 else 1)
    loop, losses = compiled_loop.make_loop(setup, caching=caching), []
    interval, look = every
    for done in range(steps):
        if look and done % interval == 0:
            look(model)
        logs, bad = loop(inputs, tf.constant(1))
        assert int(bad) == 1
        losses.append(float(logs["loss"]))
    if kept:
        kept.save()
    last = {name: float(value) for name, value in logs.items()}
    return losses, last, model.get_weights(), [variable.numpy() for variable in optimizer.variables]


def distance(found, expected):
    """Of two lists of weights, relative to the length of the second."""
    found, expected = (
        np.concatenate([np.ravel(w).astype(np.float64) for w in weights]) for weights in (found, expected)
    )
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def environments(machines):
    """For each of so many machines that train together, on loopback, the environment of its process."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(machines)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        cluster = {"worker": [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]}
    return [
        {
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
            "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
        }
        for index in range(machines)
    ]


def main():
    examples, output, replicas = sys.argv[1:]
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * int(replicas))
    strategy = tf.distribute.MirroredStrategy([f"cpu:{i}" for i in range(int(replicas))])
    whole = train(config(), examples, strategy=strategy, steps=STEPS, keep=f"{output}.checkpoints")
    parts = train(config(**IN_PARTS), examples, strategy=strategy, steps=3)
    with open(output, "wb") as file:
        pickle.dump((whole, parts), file)


if __name__ == "__main__":
    main()
