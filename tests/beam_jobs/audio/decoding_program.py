"""`python -m tests.beam_jobs.audio.decoding_program FIRST SECOND`: decodes two files, and waits to be killed."""

import sys
import time

from beam_jobs import audio
from beam_jobs.audio import decoder


def main():
    first, second = sys.argv[1:]
    child = decoder.Decoder(sample_rate=16000, rules=audio.Rules(timeout_s=600))
    child.decode(first)
    print("decoded", flush=True)
    child.decode(second)
    time.sleep(600)


if __name__ == "__main__":
    main()
