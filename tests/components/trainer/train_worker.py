"""Trains as one machine of the cluster in TF_CONFIG: `python -m tests.components.trainer.train_worker EXAMPLES OUTPUT`.

The chief pickles a `Trained` to OUTPUT. All print the mean over the hosts of a value that differs between them.
"""

import pickle
import sys

from components.trainer import strategies
from tests.components.trainer import training


def main():
    examples, output = sys.argv[1:]
    strategy = strategies.make("multi_worker")
    assert not strategies.reads_elsewhere(strategy)
    settings = training.config(**training.ANY_ORDER)
    trained = training.train(settings, examples, strategy=strategy, steps=training.STEPS, validates=True)
    is_chief = strategies.is_chief(strategy)
    if is_chief:
        with open(output, "wb") as file:
            pickle.dump(trained, file)
    print("mean over hosts:", strategies.mean_over_hosts(strategy, float(is_chief)))


if __name__ == "__main__":
    main()
