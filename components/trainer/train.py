"""The training run: strategy, model, data, loop, results; in the order they are needed."""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping

import keras
import tensorflow as tf
from etils import epath

from beam_jobs import examples
from components.base import StageContext
from components.errors import UserError
from components.trainer import checks, compiled_loop, input_pipeline, optimizers, step, strategies, validation
from components.trainer.checkpoints import Checkpoints
from components.trainer.config import TrainerConfig
from components.trainer.loop import Outcome, Run
from components.trainer.summaries import TrainingLog

_MOST_VALID = 512  # clips of the validation loss
_MOST_EMBEDDED = 64  # of them at a time


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
    checks.check_examples(config, info)
    micro_batch = checks.check_split(config, replicas=strategy.num_replicas_in_sync)

    # Model. The seed comes first, so that a resumed run builds the same untrained model.
    keras.utils.set_random_seed(config.seed + 1)  # under a global seed of 0, Dataset.shuffle takes no tensor as seed
    with strategy.scope(), strategies.precision(config.precision, strategy=strategy):
        model = checks.build_model(config.model, seed=config.seed)
        optimizer = optimizers.make(config, variables=model.trainable_variables)
    checks.check_crops(config, info, crop_samples=model.crop_samples)
    if is_chief:
        with _writing(outputs["model"]):
            model.save(str(outputs["model"] / "initial.keras"))
    checkpoints = Checkpoints(
        context.work_dir / "checkpoints",
        variables=[*model.variables, *optimizer.variables],
        step=optimizer.iterations,
        keep=config.keep_checkpoints,
        writes=is_chief,
    )
    if strategies.agreed(strategy, checkpoints.step) != checkpoints.step:
        raise UserError(
            f"The machines do not agree on the step to go on from (here {checkpoints.step}): give all of them one "
            "folder for the output, which all can read."
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
    hosts: list[tf.distribute.InputContext] = []  # this one, once the strategy has said which it is

    def read(host: tf.distribute.InputContext, *, start_step: int = checkpoints.step, with_ids: bool = False):
        hosts[:] = [host]
        return batches(start_step=start_step, micro_batch=micro_batch, with_ids=with_ids, context=host)

    def ids_of(bad: int) -> list[str]:
        parts = config.batch_size // (hosts[0].num_input_pipelines * micro_batch)
        found = [batch["clip_id"] for batch in read(hosts[0], start_step=bad, with_ids=True).take(parts)]
        return [clip_id.decode() for clip_id in tf.concat(found, axis=0).numpy()]

    valid = input_pipeline.validation_batch(examples_dir, batch_size=min(config.batch_size, _MOST_VALID), **crops)

    # Loop.
    log = TrainingLog(
        context.tensorboard_dir if is_chief else None,
        history=context.work_dir / "history.csv",
        first=checkpoints.step,
    )
    if not checkpoints.step:  # a resumed run has shown them already
        log.config(config)
        log.views(model, valid or next(iter(batches(micro_batch=micro_batch))))
    run = Run(
        config=config,
        setup=setup,
        loop=compiled_loop.make_loop(setup),
        iterators=[
            iter(strategy.distribute_datasets_from_function(read)) for _ in range(1 if setup.micro_batches == 1 else 2)
        ],
        ids_of=ids_of,
        evaluation=validation.Evaluation(
            model,
            info=info,
            batch=valid,
            temperature=config.temperature,
            probe_clips=config.probe_clips,
            chunk=min(micro_batch, _MOST_EMBEDDED),
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
        with _writing(outputs["model"]):
            model.save(str(outputs["model"] / "model.keras"))
            record = {"batch_size": config.batch_size, **dataclasses.asdict(outcome)}
            (outputs["model"] / "training.json").write_text(json.dumps(record, indent=1))
            log.close(outputs["model_run"] / "history.csv")
    return outcome


@contextlib.contextmanager
def _writing(folder: epath.Path) -> Iterator[None]:
    """Within the block a full disk and the like are one sentence."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"The model cannot be written to {folder} ({error.strerror or error}): make room, and run the same command "
            "again; the checkpoints are kept."
        ) from error
