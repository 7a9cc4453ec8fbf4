"""The one error that reaches a user as a sentence instead of a traceback."""


class UserError(Exception):
    """Something the user can put right.

    The message is one sentence that names the file, field or flag and says the way out. The command line
    prints it alone and exits with status 2; any other exception is a bug of ours and keeps its traceback.
    """
