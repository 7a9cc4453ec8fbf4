"""The loop around the compiled loop: what is due between its calls, and what becomes of a run that is stopped."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from components.base import StageContext
from components.errors import UserError
from components.trainer import step, strategies, validation
from components.trainer.checkpoints import Checkpoints, Standing
from components.trainer.config import TrainerConfig
from components.trainer.summaries import TrainingLog

_LOOKS_BEFORE_WARNING = 3
_PROFILED = (10, 20)
_CALL_S = 10.0  # of the compiled loop, about: a signal waits for its end


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


@dataclasses.dataclass(kw_only=True)
class Run:
    """What the loop works with.

    Attributes:
        config: Of the training.
        setup: What is trained.
        loop: Of `inner_loop.make_loop`.
        iterators: Its input.
        ids_of: The clips of the batch after so many steps.
        evaluation: Of the valid split; None without one.
        checkpoints: Resumed already.
        log: Where figures and pictures go.
        averaged: Whether the model has its averaged weights in place of its own.
        collapsed: Name of an embedding -> looks in a row that found it collapsed.
        window: Since the last point in the logs.
        step_s: How long a step took in the last call.
        profiles: Whether the profiler is on.
    """

    config: TrainerConfig
    setup: step.Setup
    loop: Callable[[Sequence[Iterator], tf.Tensor], tuple[step.Logs, tf.Tensor]]
    iterators: Sequence[Iterator]
    ids_of: Callable[[int], Sequence[str]]
    evaluation: validation.Evaluation | None
    checkpoints: Checkpoints
    log: TrainingLog
    averaged: bool = False
    collapsed: dict[str, int] = dataclasses.field(default_factory=dict)
    window: "_Window" = dataclasses.field(default_factory=lambda: _Window())
    step_s: float = math.inf
    profiles: bool = False

    def to_the_end(self, context: StageContext) -> Outcome:
        """Runs all steps that are left, and saves the state after the last one, or wherever a signal stops it."""
        first = done = self.checkpoints.step
        logs, began = self.log.last, time.monotonic()
        try:
            self._look_if_due(done)  # one that a signal came ahead of
            while done < self.config.steps and not self._has_waited_enough():
                self._profile(done)
                count = self._steps_until_something_is_due(done)
                logs = self._steps(done, count)
                done += count
                rate = (done - first) * self.config.batch_size / (time.monotonic() - began)
                figures = {"loss": logs["loss"], "top1": logs["top1"], "clips/s": rate}
                context.progress.update(done, total=self.config.steps, unit="steps", **figures)
                self._write_what_is_due(done)
        except KeyboardInterrupt:
            # It may come anywhere; Python lets a call of the compiled loop end first, so the state is that of a step.
            if not self.averaged and self._is_finite():
                self.checkpoints.save()
            if self.checkpoints.newest:
                logging.info("stopped; the checkpoint of step %d is kept", self.checkpoints.newest)
            raise
        finally:
            self._profile(math.inf)
        self.checkpoints.save()
        rate = (done - first) * self.config.batch_size / (time.monotonic() - began)
        return Outcome(steps=done, best_step=done, loss=logs["loss"], top1=logs["top1"], clips_per_s=rate)

    def _steps(self, done: int, count: int) -> dict[str, float]:
        """Takes `count` steps; their mean logs."""
        started = time.monotonic()
        try:
            found, bad = self.loop(self.iterators, tf.constant(count))
        except tf.errors.ResourceExhaustedError as error:
            raise UserError(
                f"{self.setup.micro_batch:,} clips at a time do not fit into the memory of a replica: set "
                "trainer.micro_batch to fewer, which embeds the same batch part by part."
            ) from error
        logs = {name: float(value) for name, value in found.items()}
        self.step_s = strategies.agreed(self.setup.strategy, (time.monotonic() - started) / count)
        self._check_finite(done, steps=count, bad=int(bad))
        self.window.add(logs, steps=count, loop_s=time.monotonic() - started)
        return logs

    def _steps_until_something_is_due(self, done: int) -> int:
        config = self.config
        ends = [done + config.steps_per_loop, config.steps, done + max(1, int(_CALL_S / self.step_s))]
        ends += [
            done - done % every + every for every in (config.log_every, config.eval_every, config.checkpoint_every)
        ]
        if config.profile:
            ends += [place for place in _PROFILED if place > done]
        return min(ends) - done

    def _write_what_is_due(self, done: int) -> None:
        config, last = self.config, done == self.config.steps
        if done % config.log_every == 0 or last:
            figures, times = self.window.means(clips=config.batch_size)
            rate = float(self.setup.optimizer.learning_rate)
            self.log.training(done, {**figures, "learning_rate": rate}, times=times)
            self.window = _Window()
        self._look_if_due(done)
        if done % config.checkpoint_every == 0 and not last:
            self.checkpoints.save()

    def _look_if_due(self, done: int) -> None:
        """Looks at the valid split, and keeps the model if it is the best so far."""
        is_due = done and (done % self.config.eval_every == 0 or done == self.config.steps)
        standing = self.checkpoints.standing
        if self.evaluation is None or not is_due or standing.looked == done:
            return
        with self._averaged_weights():
            look = self.evaluation.look()
        score = strategies.agreed(self.setup.strategy, look.score)
        if standing.score is None or score > standing.score:
            self.checkpoints.save_best(Standing(step=done, score=score, looked=done))
        else:
            self.checkpoints.standing = dataclasses.replace(standing, waited=standing.waited + 1, looked=done)
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
        bound = min(self.config.collapse_rank, (self.evaluation.clips - 1) / 2)  # n clips fill n - 1 at the most
        for name in self.setup.model.embedding_names:
            rank = figures[f"effective_rank_{name}"]
            self.collapsed[name] = self.collapsed.get(name, 0) + 1 if rank < bound else 0
            if self.collapsed[name] == _LOOKS_BEFORE_WARNING:
                logging.warning(
                    "the %s embeddings have collapsed: at step %d they fill %.1f dimensions, below "
                    "the %g of trainer.collapse_rank, for the third look in a row; lower trainer.learning_rate, or set "
                    "trainer.model.projector_norm=batch",
                    name,
                    done,
                    rank,
                    bound,
                )

    def _check_finite(self, done: int, *, steps: int, bad: int) -> None:
        """Refuses to go on from what is not finite: `bad` of these steps were well before the first such one."""
        if bad == steps:
            return
        saved, ids = self.checkpoints.newest, self.ids_of(done + bad)
        shown = ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
        good = f"the last good checkpoint is that of step {saved}" if saved else "there is no checkpoint before it"
        raise UserError(
            f"The loss was no longer finite at step {done + bad + 1}, on the clips {shown}; {good} in "
            f"{self.checkpoints.folder}. Lower trainer.learning_rate, or raise trainer.temperature."
        )

    def _is_finite(self) -> bool:
        variables = (*self.setup.model.variables, *self.setup.optimizer.variables)
        return all(np.isfinite(variable.numpy()).all() for variable in variables)

    @contextlib.contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """Within the block the model has its averaged weights, if it keeps such."""
        if not self.setup.optimizer.use_ema:
            yield
            return
        variables = self.setup.model.trainable_variables
        kept = [variable.numpy() for variable in variables]
        self.averaged = True
        try:
            self.setup.optimizer.finalize_variable_values(variables)
            yield
        finally:
            for variable, value in zip(variables, kept, strict=True):
                variable.assign(value)
            self.averaged = False

    def _profile(self, done: float) -> None:
        """Starts or stops the profiler, where it is asked for."""
        if self.config.profile and self.log.folder and not self.profiles and _PROFILED[0] <= done < _PROFILED[1]:
            tf.profiler.experimental.start(self.log.folder)
            self.profiles = True
        elif self.profiles and done >= _PROFILED[1]:
            tf.profiler.experimental.stop()
            self.profiles = False


@dataclasses.dataclass
class _Window:
    """Sums over the steps since the last point in the logs."""

    logs: dict[str, float] = dataclasses.field(default_factory=dict)
    steps: int = 0
    loop_s: float = 0.0
    began: float = dataclasses.field(default_factory=time.monotonic)

    def add(self, logs: Mapping[str, float], *, steps: int, loop_s: float) -> None:
        self.logs = {name: self.logs.get(name, 0.0) + steps * value for name, value in logs.items()}
        self.steps += steps
        self.loop_s += loop_s

    def means(self, *, clips: int) -> tuple[dict[str, float], dict[str, float]]:
        """Means of the logs, with the speed in `clips` a step; and where the seconds of a step went."""
        figures = {name: value / self.steps for name, value in self.logs.items()}
        waited, step_s = figures.pop("input_wait_s"), (time.monotonic() - self.began) / self.steps
        loop_s = self.loop_s / self.steps
        times = {"input": waited, "device": loop_s - waited, "host": step_s - loop_s}
        return {**figures, "clips_per_s": clips / step_s}, times
