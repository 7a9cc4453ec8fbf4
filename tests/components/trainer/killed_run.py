"""Executes the Trainer and kills itself.

`python -m tests.components.trainer.killed_run FOLDER STEP EXAMPLES ANOMALIES` trains in FOLDER. SIGKILL ends the
process after STEP steps.
"""

import os
import signal
import sys

from tests.components import harness
from tests.components.trainer import trainer_runs

CHANGES = {"log_every": 1}
"""Changes of the tiny config, so that more is logged than is in the checkpoints."""


class KillsAt(harness.RecordedProgress):
    """Kills this process after a step."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def update(self, done, **figures):
        if done == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def main():
    folder, step, examples, anomalies = sys.argv[1:]
    inputs = {"examples": examples, "anomalies": anomalies}
    trainer_runs.execute(trainer_runs.config(**CHANGES), inputs, folder, progress=KillsAt(int(step)))


if __name__ == "__main__":
    main()
