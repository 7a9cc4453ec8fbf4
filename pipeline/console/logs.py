"""Writes the log of a run to a file, and warnings of our own code to the terminal as well."""

import contextlib
import logging
import pathlib
from collections.abc import Iterator

from absl import logging as absl_logging
from rich.console import Console
from rich.markup import escape

_REPOSITORY = pathlib.Path(__file__).parents[2]

OUR_CODE = tuple(str(_REPOSITORY / package) for package in ("beam_jobs", "components", "models", "pipeline"))
"""Paths of source files that a warning comes from start with one of these if it is ours."""

CHATTY_LIBRARIES = ("apache_beam", "h5py", "matplotlib", "numba", "PIL")
"""Loggers of which only warnings and errors are kept."""


class _TerminalHandler(logging.Handler):
    """Prints warnings and errors of our own code."""

    def __init__(self, console: Console):
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        if record.pathname.startswith(OUR_CODE):
            text = f"[yellow]{record.levelname.lower()}[/]: {escape(record.getMessage())}"
            self._console.print(text, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def to_file(file: pathlib.Path, *, console: Console) -> Iterator[None]:
    """Logs to a file until the block ends.

    Args:
        file: Gets messages of level INFO and above, and Python's warnings. Its folder is created.
        console: Gets warnings and errors of our own code.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    file_handler = logging.FileHandler(file, encoding="utf-8")
    file_handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handlers = (file_handler, _TerminalHandler(console))
    root_logger = logging.getLogger()
    level = root_logger.level
    verbosity = absl_logging.get_verbosity()
    for handler in handlers:
        root_logger.addHandler(handler)
    for name in CHATTY_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    root_logger.setLevel(logging.INFO)
    absl_logging.set_verbosity(absl_logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        absl_logging.set_verbosity(verbosity)
        root_logger.setLevel(level)
        for handler in handlers:
            root_logger.removeHandler(handler)
            handler.close()
