"""`python -m tests.components.trainer.train_elsewhere ADDRESS FOLDER` trains on a server of TensorFlow at ADDRESS.

Prints the batches that the server reads, as JSON. It is a program because a process that has connected to a server
cannot leave it.
"""

import json
import sys

import tensorflow as tf
from etils import epath

from components.errors import UserError
from components.trainer import input_pipeline, strategies
from components.trainer.training_input import TrainingInput

OPTIONS = input_pipeline.InputOptions(batch_size=4, crop_samples=4000, seed=3)
BATCHES = 6


def main():
    address, folder = sys.argv[1:]
    here = tf.distribute.OneDeviceStrategy("cpu:0")
    assert not strategies.reads_elsewhere(here)
    tf.config.experimental_connect_to_cluster(tf.train.ClusterSpec({"worker": [address]}))
    elsewhere = tf.distribute.OneDeviceStrategy("/job:worker/replica:0/task:0/device:CPU:0")
    assert strategies.reads_elsewhere(elsewhere)
    assert not strategies.reads_elsewhere(tf.distribute.OneDeviceStrategy("cpu:0"))
    try:
        reader = TrainingInput(epath.Path(folder), OPTIONS, strategy=elsewhere, micro_batch=4, start_step=0, times=1)
        batches = reader.iterator
        print(
            json.dumps(
                [{name: value.numpy().tolist() for name, value in next(batches).items()} for _ in range(BATCHES)]
            )
        )
    except UserError as error:
        print(error)


if __name__ == "__main__":
    main()
