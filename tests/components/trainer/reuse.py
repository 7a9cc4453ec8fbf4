"""Builds and compiles what several tests train in the same way once, because that takes longer than the training."""

import json

from components.trainer import building, compiled_loop, memory, strategies, summaries, train

# Fields that change neither the step nor the validation.
_OF_THE_LOOP = {"log_every", "eval_every", "checkpoint_every", "keep_checkpoints", "patience", "collapse_rank"}


class TracedPasses:
    """Traces the passes of which the memory is estimated once for each model and micro-batch."""

    def __init__(self):
        self._trace, self._traced = memory._trace_passes, {}

    def __call__(self, training_step, micro_batch):
        model, replicas = training_step.model, training_step.strategy.num_replicas_in_sync
        config = json.dumps(model.get_config(), sort_keys=True, default=str)
        key = (config, training_step.batch_size, replicas, micro_batch)
        if key not in self._traced:
            self._traced[key] = self._trace(training_step, micro_batch)
        return self._traced[key]


class Trainings:
    """Keeps the step, the compiled loop and the validation of each config of a process.

    A training gets its step with the weights and the optimizer's variables of the untrained step.
    """

    def __init__(self):
        self._strategy = strategies.make("auto")
        self._steps, self._loops, self._validations = {}, {}, {}
        self._build_step, self._make_loop = building.build_step, compiled_loop.make_loop
        self._make_validation = train._make_validation

    def install(self, monkeypatch, *, draws=False):
        """Makes the trainings of a test use them. They draw no pictures of the encoders' inputs unless told so."""
        monkeypatch.setattr(strategies, "make", lambda name, *, tpu: self._strategy)
        monkeypatch.setattr(building, "build_step", self._step)
        monkeypatch.setattr(compiled_loop, "make_loop", self._loop)
        monkeypatch.setattr(train, "_make_validation", self._validation)
        if not draws:
            monkeypatch.setattr(summaries.TrainingLog, "encoder_inputs", lambda self, model, batch: None)

    def _step(self, config, *, strategy):
        key = config.model_dump_json(exclude=_OF_THE_LOOP)
        if key not in self._steps:
            step = self._build_step(config, strategy=strategy)
            variables = [*step.model.variables, *step.optimizer.variables]
            self._steps[key] = step, [(variable, variable.numpy()) for variable in variables]
        step, untrained = self._steps[key]
        for variable, value in untrained:
            variable.assign(value)
        return step

    def _loop(self, training_step):
        if training_step not in self._loops:
            self._loops[training_step] = self._make_loop(training_step)
        return self._loops[training_step]

    def _validation(self, config, training_step, *, info, batch):
        if training_step not in self._validations:
            self._validations[training_step] = self._make_validation(config, training_step, info=info, batch=batch)
        return self._validations[training_step]
