"""Tells whether what another process has left is of this machine, and whether that process has ended."""

import os


def identity() -> str:
    """Returns what stands for this machine since its last start, and for the container of this process.

    Processes with the same one see each other's ids. It is empty if it is not known, as on macOS.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def has_ended(pid: int) -> bool:
    """Returns whether a process other than this one has certainly ended. In a container, it may have had this one's id.

    Args:
        pid: Its id here.
    """
    if pid == os.getpid():
        return True
    try:
        os.kill(pid, 0)  # Signal 0 only asks whether the process exists.
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:  # It is another user's.
        return False
    return False
