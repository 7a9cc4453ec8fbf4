"""Measures the processor time of a step, by a few steps of the real training on the real examples."""

import os
import pathlib
import platform
import shutil
import time

from etils import epath

from components.base import StageContext
from components.errors import UserError
from components.trainer import Trainer, TrainerConfig
from pipeline.runner import interrupts

_NEVER = 2**31 - 1
_MEASURED_S = 20.0
"""Processor time that is measured at least, so that a short interruption does not count."""

_FEWEST_STEPS = 2


class _Enough(Exception):
    """Ends the training when enough was measured."""


class _Stopwatch:
    """Takes the processor time of the steps from the second one on: the first one compiles.

    Implements `components.base.Progress`.
    """

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None
        self.steps, self.cpu_s = 0, 0.0

    def update(self, done: int, *, total: int, unit: str, **figures: float | int | str) -> None:
        now = time.process_time()  # Of all threads.
        if self._first is None:
            self._first = (done, now)
        self.steps, self.cpu_s = done - self._first[0], now - self._first[1]
        if self.steps >= _FEWEST_STEPS and self.cpu_s >= _MEASURED_S:
            raise _Enough


def measure(config: TrainerConfig, examples: str, work: str) -> dict[str, float | int | str]:
    """Measures what a step costs. Call it in a fresh process.

    Args:
        config: The config of the Trainer.
        examples: The folder that AudioExampleGen published.
        work: A folder for temporary files, which is removed.

    Returns:
        `cpu_s_per_step`, and what it was measured on.

    Raises:
        UserError: The examples do not fit the config, or the training does not run on processors alone.
    """
    _check_devices()
    endless = config.model_copy(
        update={
            "steps": _NEVER,
            "steps_per_loop": 1,
            "warmup_steps": 0,
            "patience": None,
            "probe_clips": 0,
            **dict.fromkeys(("log_every", "eval_every", "checkpoint_every"), _NEVER),
        }
    )
    stopwatch = _Stopwatch()
    folders = {name: epath.Path(work) / name for name in ("work", "tensorboard", *Trainer.outputs)}
    try:
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        with interrupts.as_exceptions():
            Trainer(endless).execute(
                inputs={"examples": epath.Path(examples)},
                outputs={name: folders[name] for name in Trainer.outputs},
                context=StageContext(
                    work_dir=folders["work"], tensorboard_dir=folders["tensorboard"], progress=stopwatch
                ),
            )
    except _Enough:
        pass
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return {
        "cpu_s_per_step": stopwatch.cpu_s / stopwatch.steps,
        "steps": stopwatch.steps,
        "measured": time.strftime("%Y-%m-%d %H:%M:%S"),
        "machine": f"{platform.node()}, {os.cpu_count()} cores, {_cpu_name()}",
    }


def _check_devices() -> None:
    # Imported here because the process that starts the measurement imports this module, too.
    import tensorflow as tf

    for kind in ("GPU", "TPU"):
        if tf.config.list_logical_devices(kind):
            raise UserError(
                f"--budget cpu-minutes counts processor time, but training would run on a {kind} here: give --budget "
                "steps=N or passes=N."
            )


def _cpu_name() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # Not Linux, or another architecture.
        return platform.machine()
