"""Program that lists the clips of a folder, and prints which heavy libraries this imported."""

import sys

from beam_jobs import sources

HEAVY = ("tensorflow", "tensorflow_datasets", "apache_beam", "keras", "scipy", "matplotlib")


def main():
    if not sources.list_clips(sys.argv[1]).clips:
        raise SystemExit("no clips")
    print([name for name in HEAVY if name in sys.modules])


if __name__ == "__main__":
    main()
