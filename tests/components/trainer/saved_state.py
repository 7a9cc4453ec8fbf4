"""Two variables with checkpoints. As a program: `python -m tests.components.trainer.saved_state FOLDER`.

The program saves a first step in FOLDER, which is also the best one. It then saves the best one again and a second step
under a limit on the size of files, which fails like a full disk, and prints both errors.
"""

import resource
import signal
import sys

import keras
import numpy as np
from etils import epath

from components.errors import UserError
from components.trainer.checkpoints import Checkpoints
from components.trainer.validation_state import ValidationState

LARGE = 1_000_000  # Float32 values, which take 4 MB.


def open_state(folder, *, keep=2, size=1000, **options):
    """Returns weights, a step, and the checkpoints of both."""
    step = keras.Variable(0, dtype="int64", trainable=False)
    weights = keras.Variable(np.zeros(size, "float32"))
    return weights, step, Checkpoints(epath.Path(folder), variables=[weights, step], step=step, keep=keep, **options)


def advance(weights, step, checkpoints, *, to, save=True):
    """Sets the weights and the step to a number, and saves them."""
    weights.assign(np.full(weights.shape, float(to)))
    step.assign(to)
    if save:
        checkpoints.save()


def main():
    weights, step, checkpoints = open_state(sys.argv[1], size=LARGE)
    advance(weights, step, checkpoints, to=1)
    best = ValidationState(best_step=1, best_score=0.5)
    checkpoints.save_best(best)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    for save in (lambda: checkpoints.save_best(best), lambda: advance(weights, step, checkpoints, to=2)):
        try:
            save()
        except UserError as error:
            print(error)


if __name__ == "__main__":
    main()
