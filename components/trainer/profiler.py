"""Traces a few steps with TensorFlow's profiler."""

import tensorflow as tf

FIRST_STEP, LAST_STEP = 10, 20


class StepProfiler:
    """Records a trace of the steps from `FIRST_STEP` to `LAST_STEP`.

    Args:
        folder: Where TensorBoard finds the trace; None for no trace.
    """

    def __init__(self, folder: str | None):
        self._folder = folder
        self._is_running = False

    def update(self, step: int) -> None:
        """Starts or stops the profiler if it is time. Call it before each call of the compiled loop."""
        if self._folder and not self._is_running and FIRST_STEP <= step < LAST_STEP:
            tf.profiler.experimental.start(self._folder)
            self._is_running = True
        elif step >= LAST_STEP:
            self.stop()

    def stop(self) -> None:
        """Stops the profiler if it is running."""
        if self._is_running:
            tf.profiler.experimental.stop()
            self._is_running = False
