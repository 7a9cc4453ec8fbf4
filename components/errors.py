"""The errors that a user sees as one sentence instead of a traceback."""


class UserError(Exception):
    """An error that the user can correct.

    The message is one sentence that names the file, field or flag and the way out. The command line prints the message
    alone and exits with status 2. Any other exception is a bug in Diptych and keeps its traceback.
    """


class DamagedFile(UserError):
    """A published file does not hold what was written.

    Args:
        message: See `UserError`.
        path: The file, or the folder of which some file is damaged.
    """

    def __init__(self, message: str, *, path: str):
        super().__init__(message)
        self.path = path
