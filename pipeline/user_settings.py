"""Settings for users without a home folder or without an entry in /etc/passwd, as in containers with `--user 12345`."""

import getpass
import os
import tempfile


def apply() -> None:
    """Sets the variables that the environment does not set already, and only where they are needed.

    * A user without a home folder gets a private temporary one, because some packages, such as Jupyter's, fail without.
    * Matplotlib and Keras keep their files in a private temporary folder if the home folder cannot be written.
      Otherwise Matplotlib warns and searches for fonts anew in every process.
    * A user without a name gets one, because Beam asks for it.
    """
    home = os.path.expanduser("~")
    if not os.path.isabs(home) or not os.access(home, os.W_OK | os.X_OK):
        folder = _private_folder()
        if folder:
            if not os.path.isabs(home):
                os.environ["HOME"] = folder
            os.environ.setdefault("MPLCONFIGDIR", os.path.join(folder, "matplotlib"))
            os.environ.setdefault("KERAS_HOME", os.path.join(folder, "keras"))
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = f"uid{os.getuid()}"


def _private_folder() -> str:
    """Returns a folder of this user's that lasts from one process to the next, or "" if there can be none."""
    try:
        folder = os.path.join(tempfile.gettempdir(), f"diptych-{os.getuid()}")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return folder if os.stat(folder).st_uid == os.getuid() else ""
    except OSError:
        return ""
