"""`python -m tests.components.audio_example_gen.program SOURCE FOLDER`: executes the stage, to be interrupted.

Flags that it does not know are Beam's.
"""

import argparse
import signal


def main():
    # A shell starts background processes with SIGINT ignored, and the tests may run in one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("source")
    parser.add_argument("folder")
    parser.add_argument("--shards", type=int)
    parser.add_argument("--clip_timeout_seconds", type=float, default=60.0)
    arguments, beam_args = parser.parse_known_args()

    # Imported here because the imports take seconds, and the signal handler must be in place before them.
    from components.audio_example_gen import AudioExampleGen, AudioExampleGenConfig
    from tests.components import harness

    config = AudioExampleGenConfig(
        source=arguments.source,
        shards=arguments.shards,
        clip_timeout_seconds=arguments.clip_timeout_seconds,
        beam_args=beam_args,
    )
    harness.execute(AudioExampleGen(config), arguments.folder)


if __name__ == "__main__":
    main()
