"""Where log lines go: everything into the run's file, our own warnings to the terminal as well."""

import contextlib
import logging
import pathlib
from collections.abc import Iterator

from absl import logging as absl_logging
from rich.console import Console
from rich.markup import escape

OUR_CODE = tuple(
    str(pathlib.Path(__file__).parents[2] / package) for package in ("beam_jobs", "components", "models", "pipeline")
)
CHATTY = ("apache_beam", "h5py", "matplotlib", "numba", "PIL")


class _Terminal(logging.Handler):
    def __init__(self, console: Console):
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        if record.pathname.startswith(OUR_CODE):
            text = f"[yellow]{record.levelname.lower()}[/]: {escape(record.getMessage())}"
            self._console.print(text, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def to_file(file: pathlib.Path, *, console: Console) -> Iterator[None]:
    """Within the block, logs from INFO up go to `file`, with Python's warnings; our own warnings also to `console`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handlers = [handler, _Terminal(console)]
    top = logging.getLogger()
    level, verbosity = top.level, absl_logging.get_verbosity()
    for each in handlers:
        top.addHandler(each)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    top.setLevel(logging.INFO)
    absl_logging.set_verbosity(absl_logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        absl_logging.set_verbosity(verbosity)
        top.setLevel(level)
        for each in handlers:
            top.removeHandler(each)
            each.close()
