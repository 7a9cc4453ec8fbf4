"""Trains a model: strategy, model, checkpoints, data, loop, results, in the order in which they are needed."""

import dataclasses
from collections.abc import Mapping

from absl import logging
from etils import epath

from beam_jobs import examples
from components.base import StageContext
from components.errors import UserError
from components.trainer import (
    building,
    checks,
    compiled_loop,
    crops,
    initial_model,
    input_pipeline,
    memory_check,
    results,
    step,
    strategies,
    validation,
    warm_start,
)
from components.trainer.checkpoints import Checkpoints, adopt
from components.trainer.component import CHECKPOINTS, HISTORY
from components.trainer.config import TrainerConfig
from components.trainer.loop import Outcome, TrainingLoop
from components.trainer.summaries import TrainingLog, read_history
from components.trainer.training_input import TrainingInput

_MAX_VALIDATION_CLIPS = 512
_VALIDATION_CHUNK = 64  # Clips that a replica embeds at a time in validation.


def train(
    config: TrainerConfig, *, examples_dir: epath.Path, outputs: Mapping[str, epath.Path], context: StageContext
) -> Outcome:
    """Trains from the first step, or from the last checkpoint in `context.work_dir`, to the last step.

    Raises:
        UserError: The examples do not fit the config, a step does not fit into memory, the loss is no longer finite,
            or a file cannot be written.
    """
    # Strategy. Several machines must connect before TensorFlow is used for anything else.
    strategy = strategies.make(config.strategy, tpu=config.tpu)
    is_chief = strategies.is_chief(strategy)

    # Examples.
    info = examples.read_info(examples_dir)
    checks.check_examples(config, info)
    checks.check_batch_size(config, replicas=strategy.num_replicas_in_sync)

    # Model.
    training_step = building.build_step(config, strategy=strategy)
    model = training_step.model
    checks.check_crops(config, info, crop_samples=model.crop_samples)
    if is_chief:
        results.save_model(model, outputs["model"] / "initial.keras")

    # Checkpoints. The newest one is restored, which may be the last one of a training with fewer steps.
    if is_chief and context.extended:
        adopt(context.extended["model_run"] / CHECKPOINTS, folder=context.work_dir / CHECKPOINTS)
        _adopt_history(context.extended["model_run"], work_dir=context.work_dir)
    checkpoints = _restore_checkpoints(config, training_step, folder=context.work_dir / CHECKPOINTS, writes=is_chief)
    initial = None if config.initial_model is None else initial_model.find(config.initial_model)
    if initial is not None and checkpoints.step == 0:
        warm_start.load(initial, model=model)
    memory_check.check(training_step, config=config, info=info, resumed=checkpoints.step > 0)

    # Data.
    options = _input_options(config, crop_samples=model.crop_samples)
    validation_batch = _validation_batch(config, options, examples_dir=examples_dir)

    # Logs.
    log = TrainingLog(
        context.tensorboard_dir if is_chief else None,
        history=context.work_dir / HISTORY,
        first=checkpoints.step,
    )
    resumption = _resumption(log, step=checkpoints.step)
    if checkpoints.step == 0 or log.is_new:  # A resumed run has them already.
        log.config(config)
        log.encoder_inputs(model, validation_batch or _first_micro_batch(examples_dir, options, training_step))

    # Loop.
    loop = TrainingLoop(
        config,
        training_step=training_step,
        compiled_loop=compiled_loop.make_loop(training_step),
        training_input=TrainingInput(
            examples_dir,
            options,
            strategy=strategy,
            micro_batch=training_step.micro_batch,
            start_step=checkpoints.step,
            times=compiled_loop.times(training_step),
        ),
        validation=_make_validation(config, training_step, info=info, batch=validation_batch),
        checkpoints=checkpoints,
        log=log,
    )
    outcome = dataclasses.replace(loop.run(context.progress), resumption=resumption)

    # Results: the best model by validation (paper, section 3).
    if is_chief:
        outcome = dataclasses.replace(outcome, best_step=checkpoints.restore_best())
        training_step.optimizer.finalize_variable_values(model.trainable_variables)  # The moving average, if any.
        results.save_model(model, outputs["model"] / "model.keras")
        results.write_record(
            outputs["model"],
            config=config,
            info=info,
            outcome=outcome,
            validated=checkpoints.validation_state,
            initial=initial,
        )
        with results.write_errors(outputs["model_run"]):
            log.close(outputs["model_run"] / HISTORY)
            if context.extended is not None:
                checkpoints.publish(outputs["model_run"] / CHECKPOINTS)
    return outcome


def _adopt_history(model_run: epath.Path, *, work_dir: epath.Path) -> None:
    """Copies the curves of a training that this one extends, if they can be read and this one has none yet."""
    if not (work_dir / HISTORY).exists() and read_history(model_run / HISTORY) is not None:
        (model_run / HISTORY).copy(work_dir / HISTORY)


def _restore_checkpoints(
    config: TrainerConfig, training_step: step.TrainingStep, *, folder: epath.Path, writes: bool
) -> Checkpoints:
    """Restores the newest checkpoint, if there is any.

    Raises:
        UserError: All checkpoints are damaged, or are of another model, or the machines have restored different steps.
    """
    model, optimizer = training_step.model, training_step.optimizer
    checkpoints = Checkpoints(
        folder,
        variables=[*model.variables, *optimizer.variables],
        step=optimizer.iterations,
        keep=config.keep_checkpoints,
        writes=writes,
    )
    if strategies.mean_over_hosts(training_step.strategy, checkpoints.step) != checkpoints.step:
        raise UserError(
            f"The machines would resume from different steps (this one from {checkpoints.step}): give all of them the "
            "same output folder, which all can read."
        )
    return checkpoints


def _resumption(log: TrainingLog, *, step: int) -> str:
    """Says where a training continues, or that it starts again. Returns the same in words for the table."""
    if step:
        return f"resumed at step {step:,}"
    if not log.is_continued:
        return ""
    logging.warning("the earlier run has left no checkpoint: the training starts again at step 0")
    return "started again at step 0, there was no checkpoint"


def _input_options(config: TrainerConfig, *, crop_samples: int) -> input_pipeline.InputOptions:
    return input_pipeline.InputOptions(
        batch_size=config.batch_size,
        crop_samples=crop_samples,
        seed=config.seed,
        clips_per_read=config.clips_per_read,
        short_clips=config.short_clips,
        pairs_per_clip=config.pairs_per_clip,
    )


def _validation_batch(
    config: TrainerConfig, options: input_pipeline.InputOptions, *, examples_dir: epath.Path
) -> input_pipeline.Batch | None:
    batch = input_pipeline.validation_batch(examples_dir, options, max_clips=_MAX_VALIDATION_CLIPS)
    if batch is not None:
        crops.warn_of_equal_pairs(batch["a"].numpy(), batch["b"].numpy(), crop_seconds=config.model.crop_seconds)
    return batch


def _first_micro_batch(
    examples_dir: epath.Path, options: input_pipeline.InputOptions, training_step: step.TrainingStep
) -> input_pipeline.Batch:
    """Returns the first micro-batch, with one pair of each of its clips, so that pictures mix different clips."""
    batches = input_pipeline.training_batches(examples_dir, options, micro_batch=training_step.micro_batch)
    return {name: values[:: options.pairs_per_clip] for name, values in next(iter(batches)).items()}


def _make_validation(
    config: TrainerConfig,
    training_step: step.TrainingStep,
    *,
    info: examples.ExamplesInfo,
    batch: input_pipeline.Batch | None,
) -> validation.Validation | None:
    if batch is None:
        logging.warning("the valid split has fewer than two clips, so nothing is validated, and the last model is kept")
        return None
    return validation.Validation(
        training_step.model,
        info=info,
        batch=batch,
        temperature=config.temperature,
        probe_clips=config.probe_clips,
        chunk=min(training_step.micro_batch, _VALIDATION_CHUNK),
        strategy=training_step.strategy,
        seed=config.seed,
    )
