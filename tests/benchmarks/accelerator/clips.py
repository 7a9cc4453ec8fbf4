"""Decodes ESC-50 into one array: `python -m tests.benchmarks.accelerator.clips ESC-50 clips.npy`."""

import argparse
import pathlib

import numpy as np

from tests.benchmarks.clips import read_esc50


def main() -> None:
    """Writes int16 (clips, samples), in the order of ESC-50's table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("esc50", type=pathlib.Path, help="ESC-50 as it is distributed")
    parser.add_argument("output", type=pathlib.Path, help="the .npy file to write")
    flags = parser.parse_args()
    clips, _ = read_esc50(flags.esc50)
    np.save(flags.output, np.stack([samples for samples, _, _ in clips]))


if __name__ == "__main__":
    main()
