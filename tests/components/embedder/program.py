"""`python -m tests.components.embedder.program ARTIFACTS FOLDER [FLAG ...]`: executes the stage, to be killed.

The flags are Beam's.
"""

import sys

from components.embedder import Embedder, EmbedderConfig
from tests.components import harness


def main():
    artifacts, folder, *flags = sys.argv[1:]
    inputs = {name: f"{artifacts}/{name}" for name in ("examples", "model", "saved_model")}
    harness.execute(Embedder(EmbedderConfig(batch_size=2, beam_args=tuple(flags))), folder, **inputs)


if __name__ == "__main__":
    main()
