"""`python -m tests.pipeline.runner.program ROOT --seconds 5`: a run in its own process, which a test can kill."""

import argparse
import sys

from pipeline.runner import interrupts
from tests.pipeline.runner import stages


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("--seconds", type=float, default=0.0)
    arguments = parser.parse_args()
    try:
        stages.run(arguments.root, stages.build(total={"seconds": arguments.seconds}))
    except interrupts.Interrupted as interrupt:
        sys.exit(interrupt.exit_status)


if __name__ == "__main__":
    main()
