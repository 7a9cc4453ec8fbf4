"""The training run: strategy, model, data, loop, results; in the order they are needed."""

import contextlib
import dataclasses
import functools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import keras
import tensorflow as tf
from absl import logging
from etils import epath

from beam_jobs import examples
from components.base import StageContext
from components.errors import UserError
from components.trainer import build, evaluation, inner_loop, input_pipeline, optimizers, step, strategies
from components.trainer.checkpoints import Checkpoints, Standing
from components.trainer.config import TrainerConfig
from components.trainer.summaries import TrainingLog

_LOOKS_BEFORE_WARNING = 3
_PROFILED = (10, 20)
_MOST_VALID = 512  # clips of the validation loss


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        steps: Steps done: those of the config, or fewer if it stopped early.
        best_step: The step of the model that was kept.
        loss: Mean loss of a pair over the last steps.
        top1: Share of anchors there whose positive was the most similar crop.
        clips_per_s: Mean speed of this process; 0 if it found every step done.
    """

    steps: int
    best_step: int
    loss: float
    top1: float
    clips_per_s: float


def train(
    config: TrainerConfig, *, examples_dir: epath.Path, outputs: Mapping[str, epath.Path], context: StageContext
) -> Outcome:
    """Trains to the last step from the first, or from the last checkpoint in `context.work_dir`.

    Raises:
        UserError: if the examples do not fit the config, the loss is no longer finite, or nothing can be written.
    """
    # Strategy, ahead of all else: several machines must meet before TensorFlow is used.
    strategy = strategies.make(config.strategy, tpu=config.tpu)
    is_chief = strategies.is_chief(strategy)
    info = examples.read_info(examples_dir)
    build.check_examples(config, info)
    micro_batch = build.check_split(config, replicas=strategy.num_replicas_in_sync)

    # Model. The seed comes first, so that a resumed run builds the same untrained model.
    keras.utils.set_random_seed(config.seed + 1)  # under a global seed of 0, Dataset.shuffle takes no tensor as seed
    with strategy.scope(), strategies.precision(config.precision, strategy=strategy):
        model = build.build_model(config.model, seed=config.seed)
        optimizer = optimizers.make(config, variables=model.trainable_variables)
    build.check_crops(config, info, crop_samples=model.crop_samples)
    if is_chief:
        model.save(str(outputs["model"] / "initial.keras"))
    checkpoints = Checkpoints(
        context.work_dir / "checkpoints",
        variables=[*model.variables, *optimizer.variables],
        step=optimizer.iterations,
        keep=config.keep_checkpoints,
        writes=is_chief,
    )

    # Data. A batch that is embedded in parts is read twice.
    crops = {"crop_samples": model.crop_samples, "seed": config.seed, "short_clips": config.short_clips}
    batches = functools.partial(
        input_pipeline.training_batches,
        examples_dir,
        batch_size=config.batch_size,
        shuffle_buffer=config.shuffle_buffer,
        **crops,
    )
    setup = step.Setup(
        model=model,
        optimizer=optimizer,
        strategy=strategy,
        batch_size=config.batch_size,
        micro_batch=micro_batch,
        temperature=config.temperature,
        seed=config.seed,
    )
    valid = input_pipeline.validation_batch(examples_dir, batch_size=min(config.batch_size, _MOST_VALID), **crops)

    # Loop.
    log = TrainingLog(
        context.tensorboard_dir if is_chief else None,
        history=context.work_dir / "history.csv",
        first=checkpoints.step,
    )
    if not checkpoints.step:  # the pictures draw augmentations: a resumed run has them already
        log.config(config)
        log.views(model, valid or next(iter(batches(batch_size=min(config.batch_size, _MOST_VALID)))))
    read = functools.partial(batches, start_step=checkpoints.step, micro_batch=micro_batch, with_ids=False)
    run = _Run(
        config=config,
        setup=setup,
        loop=inner_loop.make_loop(setup),
        iterators=[
            iter(strategy.distribute_datasets_from_function(lambda host: read(context=host)))
            for _ in range(1 if setup.micro_batches == 1 else 2)
        ],
        ids_of=lambda bad: next(iter(batches(start_step=bad)))["clip_id"].numpy(),
        evaluation=evaluation.Evaluation(
            model, info=info, batch=valid, temperature=config.temperature, probe_clips=config.probe_clips
        )
        if valid
        else None,
        checkpoints=checkpoints,
        log=log,
    )
    outcome = run.to_the_end(context)

    # Results: the best model by the valid split (paper, section 3).
    if is_chief:
        best_step = checkpoints.restore_best()
        optimizer.finalize_variable_values(model.trainable_variables)
        outcome = dataclasses.replace(outcome, best_step=best_step)
        model.save(str(outputs["model"] / "model.keras"))
        record = {"batch_size": config.batch_size, **dataclasses.asdict(outcome)}
        (outputs["model"] / "training.json").write_text(json.dumps(record, indent=1))
        log.close(outputs["model_run"] / "history.csv")
    return outcome


@dataclasses.dataclass(kw_only=True)
class _Run:
    """What the loop around the compiled loop works with."""

    config: TrainerConfig
    setup: step.Setup
    loop: Callable[[Sequence[Iterator], tf.Tensor], tuple[step.Logs, tf.Tensor]]
    iterators: Sequence[Iterator]
    ids_of: Callable[[int], Sequence[bytes]]
    evaluation: evaluation.Evaluation | None
    checkpoints: Checkpoints
    log: TrainingLog
    collapsed: dict[str, int] = dataclasses.field(default_factory=dict)

    def to_the_end(self, context: StageContext) -> Outcome:
        """Runs all steps that are left, and saves the state after the last one, or wherever a signal stops it."""
        first = done = self.checkpoints.step
        logs, began = self.log.last, time.monotonic()
        ended = began
        try:
            while done < self.config.steps and not self._has_waited_enough():
                count = self._steps_until_something_is_due(done)
                with self._profiled(done):
                    started = time.monotonic()
                    found, bad = self.loop(self.iterators, tf.constant(count))
                    logs = {name: float(value) for name, value in found.items()}
                host_s, ended, loop_s = started - ended, time.monotonic(), time.monotonic() - started
                self._check_finite(done, steps=count, bad=int(bad))
                done += count
                rate = (done - first) * self.config.batch_size / (time.monotonic() - began)
                figures = {"loss": logs["loss"], "top1": logs["top1"], "clips/s": rate}
                context.progress.update(done, total=self.config.steps, unit="steps", **figures)
                waited_s = logs.pop("input_wait_s")
                times = {"input": waited_s, "device": loop_s / count - waited_s, "host": host_s / count}
                self._write_what_is_due(done, logs=logs, times=times, clips_per_s=rate)
        except KeyboardInterrupt:
            self.checkpoints.save()
            logging.info("stopped at step %d; its checkpoint is kept", self.checkpoints.step)
            raise
        self.checkpoints.save()
        rate = (done - first) * self.config.batch_size / (time.monotonic() - began)
        return Outcome(steps=done, best_step=done, loss=logs["loss"], top1=logs["top1"], clips_per_s=rate)

    def _steps_until_something_is_due(self, done: int) -> int:
        config = self.config
        ends = [done + config.steps_per_loop, config.steps]
        ends += [
            done - done % every + every for every in (config.log_every, config.eval_every, config.checkpoint_every)
        ]
        if config.profile:
            ends += [place for place in _PROFILED if place > done]
        return min(ends) - done

    def _write_what_is_due(
        self, done: int, *, logs: Mapping[str, float], times: Mapping[str, float], clips_per_s: float
    ) -> None:
        config, last = self.config, done == self.config.steps
        if done % config.log_every == 0 or last:
            rate = float(self.setup.optimizer.learning_rate)
            self.log.training(done, {**logs, "learning_rate": rate, "clips_per_s": clips_per_s}, times=times)
        if self.evaluation and (done % config.eval_every == 0 or last):
            self._look(done)
        if done % config.checkpoint_every == 0 and not last:
            self.checkpoints.save()

    def _look(self, done: int) -> None:
        """Looks at the valid split, and keeps the model if it is the best so far."""
        with _averaged(self.setup):
            look = self.evaluation.look()
        score = strategies.agreed(self.setup.strategy, look.score)
        standing = self.checkpoints.standing
        is_best = standing.score is None or score > standing.score
        self.checkpoints.standing = (
            Standing(step=done, score=score) if is_best else dataclasses.replace(standing, waited=standing.waited + 1)
        )
        if is_best:
            self.checkpoints.save_best()
        self.log.validation(done, look.figures, similarities=look.similarities)
        self._warn_of_collapse(done, look.figures)

    def _has_waited_enough(self) -> bool:
        standing, patience = self.checkpoints.standing, self.config.patience
        if patience is None or standing.waited < patience:
            return False
        logging.warning(
            "stopped early: no better model since step %d, %d looks at the valid split ago (trainer.patience)",
            standing.step,
            standing.waited,
        )
        return True

    def _warn_of_collapse(self, done: int, figures: Mapping[str, float]) -> None:
        for name in self.setup.model.embedding_names:
            rank = figures[f"effective_rank_{name}"]
            self.collapsed[name] = self.collapsed.get(name, 0) + 1 if rank < self.config.collapse_rank else 0
            if self.collapsed[name] == _LOOKS_BEFORE_WARNING:
                logging.warning(
                    "the %s embeddings have collapsed: at step %d they fill %.1f dimensions, below "
                    "trainer.collapse_rank=%g for the third look in a row; lower trainer.learning_rate, or set "
                    "trainer.model.projector_norm=batch",
                    name,
                    done,
                    rank,
                    self.config.collapse_rank,
                )

    def _check_finite(self, done: int, *, steps: int, bad: int) -> None:
        """Refuses to go on once a loss was not finite: `bad` of these steps were well before the first such one."""
        if bad == steps:
            return
        saved, ids = self.checkpoints.last_saved, [clip_id.decode() for clip_id in self.ids_of(done + bad)]
        shown = ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
        good = f"the last good checkpoint is that of step {saved}" if saved else "there is no checkpoint before it"
        raise UserError(
            f"The loss was no longer finite at step {done + bad + 1}, on the clips {shown}; {good} in "
            f"{self.checkpoints.folder}. Lower trainer.learning_rate, or raise trainer.temperature."
        )

    @contextlib.contextmanager
    def _profiled(self, done: int) -> Iterator[None]:
        if not self.config.profile or done != _PROFILED[0]:
            yield
            return
        with tf.profiler.experimental.Profile(self.log.folder):
            yield


@contextlib.contextmanager
def _averaged(setup: step.Setup) -> Iterator[None]:
    """Within the block the model has its averaged weights, if it keeps such."""
    if not setup.optimizer.use_ema:
        yield
        return
    variables = setup.model.trainable_variables
    kept = [variable.numpy() for variable in variables]
    setup.optimizer.finalize_variable_values(variables)
    try:
        yield
    finally:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)
