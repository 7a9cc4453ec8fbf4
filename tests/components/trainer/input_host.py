"""A process that runs input pipelines which another one has built.

`python -m tests.components.trainer.input_host KIND [DECODER]` prints its address and serves until it is ended.

KIND `data_service` is a dispatcher and a worker of tf.data's service; `server` is a server of TensorFlow, such as the
hosts of a TPU slice run. With `tensorflow_io` as DECODER the process knows that package's operations.
"""

import socket
import sys
import time

import tensorflow as tf


def main():
    kind, *decoders = sys.argv[1:]
    if decoders:
        # Imported here because a process without it is tested, too. Naming an operation loads them.
        from tensorflow_io.python.ops import core_ops

        assert core_ops.io_audio_decode_flac
    if kind == "data_service":
        dispatcher = tf.data.experimental.service.DispatchServer()
        address = dispatcher.target.partition("://")[2]
        worker = tf.data.experimental.service.WorkerServer(
            tf.data.experimental.service.WorkerConfig(dispatcher_address=address)
        )
        print(dispatcher.target, flush=True)
        while worker:
            time.sleep(60)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    server = tf.distribute.Server(tf.train.ClusterSpec({"worker": [f"localhost:{port}"]}), job_name="worker")
    print(f"localhost:{port}", flush=True)
    server.join()


if __name__ == "__main__":
    main()
