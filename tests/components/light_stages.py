"""`python -m tests.components.light_stages MODULE ...` makes the stages that read data, and checks their configs.

It prints those of the named modules that are loaded afterwards.
"""

import sys

from components.audio_example_gen import AudioExampleGen
from components.embedder import Embedder
from components.example_validator import ExampleValidator
from components.statistics_gen import StatisticsGen
from components.synthetic_audio_gen import SyntheticAudioGen


def main():
    for stage in (SyntheticAudioGen, AudioExampleGen, StatisticsGen, ExampleValidator, Embedder):
        stage().check()
    for name in sys.argv[1:]:
        if name in sys.modules:
            print(name)


if __name__ == "__main__":
    main()
