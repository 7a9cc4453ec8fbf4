"""`python -m tests.pipeline.imported_modules ARGUMENT ...`: runs `diptych ARGUMENT ...` and prints what it imported."""

import sys

from pipeline import cli


def main():
    try:
        sys.exit(cli.main(sys.argv[1:]))
    finally:
        print("imported:", *sys.modules)


if __name__ == "__main__":
    main()
