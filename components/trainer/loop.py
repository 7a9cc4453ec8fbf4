"""The training loop: calls the compiled loop, and logs, validates and saves checkpoints between the calls."""

import dataclasses
import math
import time

import numpy as np
import tensorflow as tf
from absl import logging

from components.base import Progress
from components.errors import UserError
from components.trainer import profiler, step, strategies, validation
from components.trainer.checkpoints import Checkpoints
from components.trainer.collapse import CollapseWarning
from components.trainer.compiled_loop import CompiledLoop
from components.trainer.config import TrainerConfig
from components.trainer.log_interval import LogInterval
from components.trainer.optimizers import AveragedWeights
from components.trainer.summaries import TrainingLog
from components.trainer.training_input import TrainingInput
from components.trainer.validation_state import ValidationState

_CALL_S = 10.0  # Approximate duration of a call of the compiled loop. A signal waits for the end of the call.
_MAX_CLIPS_IN_MESSAGE = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a training ended.

    Attributes:
        steps: Number of steps done. It is smaller than the config's if the training stopped early.
        best_step: The step of the published model.
        loss: Mean loss of a pair in the last call of the compiled loop; None if all steps were done already, and the
            history that tells it is gone.
        top1: Share of anchors in that call whose positive was more similar than all crops of other clips; None as for
            the loss.
        clips_per_s: Mean speed of this process; 0 if all steps were done already.
        resumption: How the training continued an earlier run, in words; empty if there was none.
    """

    steps: int
    best_step: int
    loss: float | None
    top1: float | None
    clips_per_s: float
    resumption: str = ""


class TrainingLoop:
    """Calls the compiled loop until the last step, and logs, validates and saves between the calls.

    Args:
        config: The Trainer's config.
        training_step: What is trained.
        compiled_loop: Takes several steps, see `compiled_loop.make_loop`.
        training_input: The input of the compiled loop.
        validation: Validates the model; None without a valid split.
        checkpoints: Already restored, if there are any.
        log: Writes TensorBoard's event files and the history.
    """

    def __init__(
        self,
        config: TrainerConfig,
        *,
        training_step: step.TrainingStep,
        compiled_loop: CompiledLoop,
        training_input: TrainingInput,
        validation: validation.Validation | None,
        checkpoints: Checkpoints,
        log: TrainingLog,
    ):
        self._config = config
        self._step = training_step
        self._compiled_loop = compiled_loop
        self._input = training_input
        self._validation = validation
        self._checkpoints = checkpoints
        self._log = log
        model, optimizer = training_step.model, training_step.optimizer
        self._averaged_weights = AveragedWeights(optimizer, variables=model.trainable_variables)
        self._profiler = profiler.StepProfiler(log.folder if config.profile else None)
        self._interval = LogInterval(clips_per_step=config.clips_per_step)
        self._step_s = math.inf  # Duration of a step in the last call of the compiled loop.
        if validation is not None:
            self._collapse_warning = CollapseWarning(
                model.embedding_names, min_rank=config.collapse_rank, clips=validation.clips
            )

    def run(self, progress: Progress) -> Outcome:
        """Trains to the last step, or until `patience` validations in a row found no better model.

        The state is saved at the end, and also when a signal stops the training.

        Raises:
            KeyboardInterrupt: A signal stopped the training.
            UserError: The loss is no longer finite, memory is exhausted, or a file cannot be written.
        """
        first = done = self._checkpoints.step
        logs, started = self._log.last, time.monotonic()
        try:
            self._validate_if_due(done)  # A signal may have stopped the previous run between a step and its validation.
            while done < self._config.steps and not self._should_stop_early():
                self._profiler.update(done)
                steps = self._steps_until_next_event(done)
                logs = self._take_steps(done, steps)
                done += steps
                clips_per_s = self._clips_since(first, done, started)
                figures = {"loss": logs["loss"], "top1": logs["top1"], "clips/s": clips_per_s}
                progress.update(done, total=self._config.steps, unit="steps", **figures)
                self._log_if_due(done)
                self._validate_if_due(done)
                self._save_if_due(done)
        except KeyboardInterrupt:
            self._save_interrupted()
            raise
        finally:
            self._profiler.stop()
        self._checkpoints.save()
        return Outcome(
            steps=done,
            best_step=done,
            loss=_known(logs["loss"]),
            top1=_known(logs["top1"]),
            clips_per_s=self._clips_since(first, done, started),
        )

    def _clips_since(self, first: int, done: int, started: float) -> float:
        """Returns the mean speed in clips per second since step `first`."""
        return (done - first) * self._config.clips_per_step / (time.monotonic() - started)

    def _steps_until_next_event(self, done: int) -> int:
        """Returns the number of steps until the compiled loop must return: an event is due, or the call takes long."""
        config = self._config
        ends = [config.steps, done + config.steps_per_loop, done + max(1, int(_CALL_S / self._step_s))]
        for every in (config.log_every, config.eval_every, config.checkpoint_every):
            ends.append(done - done % every + every)
        if config.profile:
            ends += [end for end in (profiler.FIRST_STEP, profiler.LAST_STEP) if end > done]
        return min(ends) - done

    def _take_steps(self, done: int, steps: int) -> dict[str, float]:
        """Calls the compiled loop.

        Args:
            done: Number of steps done before.
            steps: Number of steps to take.

        Returns:
            Their mean logs.
        """
        started = time.monotonic()
        try:
            means, finite_steps = self._compiled_loop(self._input.iterator, tf.constant(steps))
        except tf.errors.ResourceExhaustedError as error:
            raise UserError(
                f"{self._step.micro_batch:,} pairs of crops at a time do not fit into the memory of a replica: set "
                "trainer.micro_batch to fewer, which embeds the same batch part by part."
            ) from error
        logs = {name: float(value) for name, value in means.items()}
        # All hosts must call the compiled loop for the same number of steps, so they share one duration.
        self._step_s = strategies.mean_over_hosts(self._step.strategy, (time.monotonic() - started) / steps)
        if int(finite_steps) < steps:
            raise self._non_finite_error(done + int(finite_steps))
        self._interval.add(logs, steps=steps, loop_s=time.monotonic() - started)
        return logs

    def _log_if_due(self, done: int) -> None:
        if done % self._config.log_every == 0 or done == self._config.steps:
            means = self._interval.means()
            settings = {
                "learning_rate": float(self._step.optimizer.learning_rate),
                "temperature": float(self._step.temperature()),
            }
            if self._config.mixing_steps:
                settings["mixing_share"] = float(self._step.mixing_share())
            self._log.training(done, {**means.figures, **settings}, times=means.step_seconds)
            self._interval = LogInterval(clips_per_step=self._config.clips_per_step)

    def _validate_if_due(self, done: int) -> None:
        """Validates the model, and saves it if it is the best so far."""
        is_due = done > 0 and (done % self._config.eval_every == 0 or done == self._config.steps)
        state = self._checkpoints.validation_state
        if self._validation is None or not is_due or state.last_validated_step == done:
            return
        with self._averaged_weights.swapped_in():
            result = self._validation.run()
        score = strategies.mean_over_hosts(self._step.strategy, result.score)
        state = self._forget_best_of_other_metric(state, metric=result.metric)
        if state.best_score is None or score > state.best_score:
            self._checkpoints.save_best(
                ValidationState(best_step=done, best_score=score, metric=result.metric, last_validated_step=done)
            )
        else:
            self._checkpoints.validation_state = dataclasses.replace(
                state, validations_since=state.validations_since + 1, last_validated_step=done
            )
        self._log.validation(done, result.figures, similarities=result.similarities)
        self._collapse_warning.update(done, result.ranks)

    def _forget_best_of_other_metric(self, state: ValidationState, *, metric: str) -> ValidationState:
        """Forgets the best model if a run before chose it by another metric, whose scores cannot be compared."""
        comparable = state.comparable_with(metric)
        if comparable is not state:
            logging.warning(
                "the best model so far, of step %d, was chosen by %s, and now %s chooses: the best one is chosen anew, "
                "from here",
                state.best_step,
                state.metric or "an earlier version of Diptych",
                metric,
            )
        return comparable

    def _save_if_due(self, done: int) -> None:
        if done % self._config.checkpoint_every == 0 and done < self._config.steps:
            self._checkpoints.save()

    def _should_stop_early(self) -> bool:
        state, patience = self._checkpoints.validation_state, self._config.patience
        if patience is None or state.validations_since < patience:
            return False
        logging.warning(
            "stopped early: no better model since step %d, %d validations ago (trainer.patience)",
            state.best_step,
            state.validations_since,
        )
        return True

    def _save_interrupted(self) -> None:
        """Saves the state after a signal, if it can be resumed from.

        Python delays the signal until the compiled loop returns, so the state is always that after a whole step. It
        cannot be resumed from if it is not finite, or if the signal came while the averaged weights were being swapped.
        """
        if not self._averaged_weights.are_active and self._is_state_finite():
            self._checkpoints.save()
        if self._checkpoints.newest:
            logging.info("stopped; the checkpoint of step %d is kept", self._checkpoints.newest)

    def _is_state_finite(self) -> bool:
        variables = (*self._step.model.variables, *self._step.optimizer.variables)
        return all(np.isfinite(variable.numpy()).all() for variable in variables)

    def _non_finite_error(self, finite_steps: int) -> UserError:
        """Returns the error of a loss that is not finite in the step after the first `finite_steps`."""
        ids = self._input.clip_ids(finite_steps)
        clips = ", ".join(ids[:_MAX_CLIPS_IN_MESSAGE])
        if len(ids) > _MAX_CLIPS_IN_MESSAGE:
            clips += f" and {len(ids) - _MAX_CLIPS_IN_MESSAGE} more"
        checkpoint = "there is no checkpoint before it"
        if self._checkpoints.newest:
            checkpoint = f"the last good checkpoint is that of step {self._checkpoints.newest}"
        return UserError(
            f"The loss was no longer finite at step {finite_steps + 1}, on the clips {clips}; {checkpoint} in "
            f"{self._checkpoints.folder}: lower trainer.learning_rate, or raise trainer.temperature."
        )


def _known(figure: float) -> float | None:
    """Returns a figure of the history, or None in place of the NaN of one that is not there."""
    return None if math.isnan(figure) else figure
