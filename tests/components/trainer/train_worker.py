"""Trains as one machine of TF_CONFIG: `python -m tests.components.trainer.train_worker WAY EXAMPLES OUTPUT`.

The chief pickles the `Trained` of `training.train_on_replicas` to OUTPUT. All print the mean over the hosts of a value
that differs between them.
"""

import pickle
import sys

from components.trainer import strategies
from tests.components.trainer import training


def main():
    way, examples, output = sys.argv[1:]
    strategy = strategies.make("multi_worker")
    assert not strategies.reads_elsewhere(strategy)
    trained = training.train_on_replicas(way, examples, strategy=strategy)
    is_chief = strategies.is_chief(strategy)
    if is_chief:
        with open(output, "wb") as file:
            pickle.dump(trained, file)
    print("mean over hosts:", strategies.mean_over_hosts(strategy, float(is_chief)))


if __name__ == "__main__":
    main()
