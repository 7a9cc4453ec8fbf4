"""`python -m tests.pipeline.runner.program ROOT --seconds 5`: a run in its own process, which a test can kill."""

import argparse
import sys

from components.errors import UserError
from pipeline.runner import interrupts
from tests.pipeline.runner import stages


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--bucket", help="folder of a `tests.bucket.Bucket`")
    parser.add_argument("--metadata")
    arguments = parser.parse_args()
    if arguments.bucket:
        # Imported here because it imports TensorFlow, which takes seconds.
        from tests import bucket, leases

        bucket.Bucket(arguments.bucket).install()
        leases.hurry()
    try:
        stages.run(arguments.root, stages.build(total={"seconds": arguments.seconds}), metadata=arguments.metadata)
    except UserError as error:
        print(error)
        sys.exit(2)
    except interrupts.Interrupted as interrupt:
        print(interrupt.message)
        sys.exit(interrupt.exit_status)


if __name__ == "__main__":
    main()
