"""The training run: model, data, loop, checkpoints, logs; in the order they are needed."""

import dataclasses
import functools
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping

import keras
import tensorflow as tf
from absl import logging
from etils import epath

from beam_jobs import examples
from components.base import StageContext
from components.errors import UserError
from components.trainer import build, input_pipeline, step
from components.trainer.checkpoints import Checkpoints
from components.trainer.config import TrainerConfig
from components.trainer.summaries import TrainingLog


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        loss: Mean loss of a pair over the last steps.
        top1: Share of anchors there whose positive was the most similar crop.
        clips_per_s: Mean speed of this process; 0 if it found every step done.
    """

    loss: float
    top1: float
    clips_per_s: float


def train(
    config: TrainerConfig, *, examples_dir: epath.Path, outputs: Mapping[str, epath.Path], context: StageContext
) -> Outcome:
    """Trains to the last step from the first, or from the last checkpoint in `context.work_dir`.

    Raises:
        UserError: if the examples do not fit the config, or the loss is no longer finite.
    """
    # Model. The seed comes first, so that a resumed run builds the same untrained model.
    build.check_examples(config, examples.read_info(examples_dir))
    keras.utils.set_random_seed(config.seed + 1)  # under a global seed of 0, Dataset.shuffle takes no tensor as seed
    strategy = build.make_strategy(config.strategy)
    build.check_replicas(config, replicas=strategy.num_replicas_in_sync)
    with strategy.scope():
        model = build.build_model(config.model, seed=config.seed)
        schedule = build.make_schedule(config)
        optimizer = keras.optimizers.Adam(schedule)
        optimizer.build(model.trainable_variables)
    model.save(str(outputs["model"] / "initial.keras"))
    checkpoints = Checkpoints(
        context.work_dir / "checkpoints", variables=[*model.variables, *optimizer.variables], step=optimizer.iterations
    )

    # Data.
    crops = {"crop_samples": model.crop_samples, "seed": config.seed, "short_clips": config.short_clips}
    batches = functools.partial(
        input_pipeline.training_batches,
        examples_dir,
        batch_size=config.batch_size,
        start_step=checkpoints.step,
        shuffle_buffer=config.shuffle_buffer,
        **crops,
    )
    valid = input_pipeline.validation_batch(examples_dir, batch_size=config.batch_size, **crops)

    # Loop.
    log = TrainingLog(context.tensorboard_dir, history=context.work_dir / "history.csv", first=checkpoints.step)
    if not checkpoints.step:  # the pictures draw augmentations: a resumed run has them already
        log.views(model, valid or next(iter(batches())))
    run = _Run(
        config=config,
        loop=step.make_loop(model, optimizer, strategy=strategy, temperature=config.temperature),
        batches=iter(strategy.distribute_datasets_from_function(lambda host: batches(context=host))),
        validate=step.make_validation(model, valid, temperature=config.temperature) if valid else None,
        learning_rate=schedule,
        checkpoints=checkpoints,
        log=log,
    )
    outcome = run.to_the_end(context)

    # Results.
    model.save(str(outputs["model"] / "model.keras"))
    record = {"steps": config.steps, "batch_size": config.batch_size, **dataclasses.asdict(outcome)}
    (outputs["model"] / "training.json").write_text(json.dumps(record, indent=1))
    log.close(outputs["model_run"] / "history.csv")
    return outcome


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Run:
    """What the loop around the compiled loop works with."""

    config: TrainerConfig
    loop: Callable[[Iterator, tf.Tensor], step.Logs]
    batches: Iterator
    validate: Callable[[], step.Logs] | None
    learning_rate: Callable[[int], tf.Tensor]
    checkpoints: Checkpoints
    log: TrainingLog

    def to_the_end(self, context: StageContext) -> Outcome:
        """Runs all steps that are left, and saves the state after the last one, or wherever a signal stops it."""
        first = done = self.checkpoints.step
        logs, began = self.log.last, time.monotonic()
        try:
            while done < self.config.steps:
                count = self._steps_until_something_is_due(done)
                logs = _floats(self.loop(self.batches, tf.constant(count)))
                done += count
                self._check_finite(done, logs["loss"])
                rate = (done - first) * self.config.batch_size / (time.monotonic() - began)
                figures = {"loss": logs["loss"], "top1": logs["top1"], "clips/s": rate}
                context.progress.update(done, total=self.config.steps, unit="steps", **figures)
                self._write_what_is_due(done, logs=logs, clips_per_s=rate)
        except KeyboardInterrupt:
            self.checkpoints.save()
            logging.info("stopped at step %d; its checkpoint is kept", self.checkpoints.step)
            raise
        self.checkpoints.save()
        rate = (done - first) * self.config.batch_size / (time.monotonic() - began)
        return Outcome(loss=logs["loss"], top1=logs["top1"], clips_per_s=rate)

    def _steps_until_something_is_due(self, done: int) -> int:
        config = self.config
        ends = [done + config.steps_per_loop, config.steps]
        ends += [
            done - done % every + every for every in (config.log_every, config.eval_every, config.checkpoint_every)
        ]
        return min(ends) - done

    def _write_what_is_due(self, done: int, *, logs: Mapping[str, float], clips_per_s: float) -> None:
        config, last = self.config, done == self.config.steps
        if done % config.log_every == 0 or last:
            rate = float(self.learning_rate(done))
            self.log.training(done, {**logs, "learning_rate": rate, "clips_per_s": clips_per_s})
        if self.validate and (done % config.eval_every == 0 or last):
            self.log.validation(done, _floats(self.validate()))
        if done % config.checkpoint_every == 0 and not last:
            self.checkpoints.save()

    def _check_finite(self, done: int, loss: float) -> None:
        if math.isfinite(loss):
            return
        saved = self.checkpoints.last_saved
        raise UserError(
            f"The loss was no longer finite at step {done}; the last good checkpoint is that of step {saved} in "
            f"{self.checkpoints.folder}. Lower trainer.learning_rate, or raise trainer.temperature."
        )


def _floats(logs: step.Logs) -> dict[str, float]:
    return {name: float(value) for name, value in logs.items()}
