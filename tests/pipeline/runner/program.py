"""`python -m tests.pipeline.runner.program ROOT --seconds 5`: one run in a process of its own, to be killed."""

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
    except interrupts.Interrupted as stop:
        sys.exit(128 + stop.signal)


if __name__ == "__main__":
    main()
