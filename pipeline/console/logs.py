"""Writes the log of a run to a file, and warnings of our own code to the terminal as well."""

import contextlib
import logging
import pathlib
import sys
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


class _FileHandler(logging.FileHandler):
    """Writes to a file. If that fails, e.g. because the disk is full, it says so once, and the run goes on without."""

    def __init__(self, file: pathlib.Path, *, console: Console):
        super().__init__(file, encoding="utf-8")
        self._console = console
        self._has_failed = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self._has_failed:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self._has_failed = True
        text = f"the log {self.baseFilename} cannot be written ({error.strerror or error}): it ends here"
        self._console.print(f"[yellow]warning[/]: {escape(text)}", highlight=False, soft_wrap=True)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # What could not be written before cannot be written now.
            super().close()


@contextlib.contextmanager
def to_file(file: pathlib.Path, *, console: Console) -> Iterator[None]:
    """Logs to a file until the block ends.

    Args:
        file: Gets messages of level INFO and above, and Python's warnings. Its folder is created.
        console: Gets warnings and errors of our own code.

    Raises:
        OSError: The file cannot be created.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    file_handler = _FileHandler(file, console=console)
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
