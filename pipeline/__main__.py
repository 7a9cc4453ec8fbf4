"""`python -m pipeline`: the command `diptych` where it is not installed, e.g. in a clone."""

from pipeline import command

if __name__ == "__main__":
    command.main()
