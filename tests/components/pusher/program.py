"""`python -m tests.components.pusher.program INPUTS FOLDER DESTINATION`: a push in its own process, to be killed."""

import argparse
import os
import pathlib
import signal

from components.pusher import Pusher, PusherConfig
from tests import bucket
from tests.components import harness


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("inputs", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("destination")
    parser.add_argument("--bucket", help="folder of a `tests.bucket.Bucket`")
    parser.add_argument("--kill-at", help="end of the name of the file in the bucket at which this process is killed")
    arguments = parser.parse_args()

    def kill_self(name):
        if arguments.kill_at and name.endswith(arguments.kill_at):
            os.kill(os.getpid(), signal.SIGKILL)

    if arguments.bucket:
        bucket.Bucket(arguments.bucket, before_write=kill_self).install()
    component = Pusher(PusherConfig(destination=arguments.destination))
    harness.execute(component, arguments.folder, **{name: arguments.inputs / name for name in Pusher.inputs})


if __name__ == "__main__":
    main()
