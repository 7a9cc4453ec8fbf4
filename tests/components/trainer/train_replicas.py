"""Trains on several logical devices: `python -m tests.components.trainer.train_replicas WAY EXAMPLES OUTPUT REPLICAS`.

It is a program, because logical devices must be configured before TensorFlow is used. It pickles the
`Trained` of `training.train_on_replicas` to OUTPUT, and saves a checkpoint to OUTPUT.checkpoints.
"""

import pickle
import sys

import tensorflow as tf

from tests.components.trainer import training


def main():
    way, examples, output, replicas = sys.argv[1:]
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * int(replicas))
    strategy = tf.distribute.MirroredStrategy([f"cpu:{i}" for i in range(int(replicas))])
    trained = training.train_on_replicas(way, examples, strategy=strategy, checkpoint_dir=f"{output}.checkpoints")
    with open(output, "wb") as file:
        pickle.dump(trained, file)


if __name__ == "__main__":
    main()
