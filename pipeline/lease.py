"""The lease of a remote folder: a small file that its one run renews, because buckets have no locks.

The file holds who owns the lease and when it was last renewed. A run that is killed renews it no longer, and after
`EXPIRES_S` another run may take it over.
"""

import contextlib
import dataclasses
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator

from absl import logging
from etils import epath

from beam_jobs import conditional_writes, error_text
from components import file_errors
from components.errors import UserError
from pipeline import this_machine

NAME = ".lease"

RENEW_S = 20.0
"""Time between two renewals."""

EXPIRES_S = 120.0
"""A lease that was not renewed for so long may be taken over."""

_THIS_PROCESS = uuid.uuid4().hex


@dataclasses.dataclass(frozen=True, kw_only=True)
class Holder:
    """The content of the file.

    Attributes:
        owner: A random text that stands for the process.
        pid: Its process id.
        host: Name of its machine.
        machine: See `this_machine.identity`.
        renewed_s: When the lease was last renewed, in seconds since 1970.
    """

    owner: str
    pid: int
    host: str
    machine: str
    renewed_s: float

    @classmethod
    def this_process(cls) -> "Holder":
        return cls(
            owner=_THIS_PROCESS,
            pid=os.getpid(),
            host=socket.gethostname(),
            machine=this_machine.identity(),
            renewed_s=time.time(),
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> "Holder | None":
        """Returns the holder that a file names, or None if its content is not that of a lease."""
        try:
            return cls(**json.loads(content))
        except (ValueError, TypeError):
            return None

    def to_bytes(self) -> bytes:
        return json.dumps(dataclasses.asdict(self), indent=1).encode()

    def has_expired(self) -> bool:
        return self.is_dead() or time.time() - self.renewed_s > EXPIRES_S

    def is_dead(self) -> bool:
        """Returns whether the process was on this machine and has certainly ended."""
        if not self.machine or self.machine != this_machine.identity() or self.owner == _THIS_PROCESS:
            return False
        return this_machine.has_ended(self.pid)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Lease:
    """The lease of one folder.

    Args:
        folder: The folder, in which the file `NAME` stands for the lease.
        flag: The flag that names the folder, for messages.
        on_loss: Called in a thread, with a sentence for the user, if the lease is lost while it is held.
    """

    def __init__(self, folder: epath.Path, *, flag: str, on_loss: Callable[[str], None]):
        self._folder = folder
        self._file = folder / NAME
        self._flag = flag
        self._on_loss = on_loss
        self._content = b""
        self._renewed = 0.0
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_released, name="lease", daemon=True)

    def take(self) -> None:
        """Takes the lease and renews it in a thread until `release`.

        Raises:
            UserError: Another run holds it.
        """
        found = conditional_writes.read_if_exists(self._file)
        holder = Holder.from_bytes(found) if found else None
        if holder is not None:
            self._check_expired(holder, found)
        self._content = Holder.this_process().to_bytes()
        if not conditional_writes.replace_if(self._file, self._content, expected=found):
            raise UserError(
                f"Another diptych run has just started to use {self._folder}: give this one another {self._flag}."
            )
        self._renewed = time.monotonic()
        self._thread.start()

    def release(self) -> None:
        """Stops renewing the lease, and removes it if it is still held."""
        self._released.set()
        self._thread.join(timeout=RENEW_S)  # A renewal may wait for a network that is gone.
        try:
            if is_held(self._folder):
                self._file.unlink()
        except Exception as error:  # Remote file systems raise errors of many types. The lease expires by itself.
            logging.warning("%s cannot be removed: %s", self._file, error)

    def _check_expired(self, holder: Holder, content: bytes | None) -> None:
        if not holder.has_expired():
            left = max(0.0, EXPIRES_S - (time.time() - holder.renewed_s))
            raise UserError(
                f"Another diptych run ({holder}) is using {self._folder}: wait for it, stop it, or give this one "
                f"another {self._flag}; if it was killed, {self._folder} is free in {left:.0f} s."
            )
        if not holder.is_dead():
            # The clocks of two machines may differ, so an expired lease is watched until its next renewal is overdue.
            # Warnings are shown although a run has no log so far.
            wait_s = 1.5 * RENEW_S
            logging.warning("%s has not renewed its lease of %s: waiting %.0f s for it", holder, self._folder, wait_s)
            time.sleep(wait_s)
            if conditional_writes.read_if_exists(self._file) != content:
                raise UserError(
                    f"Another diptych run ({holder}) is using {self._folder}: wait for it, stop it, or give this one "
                    f"another {self._flag}."
                )

    def _renew_until_released(self) -> None:
        while not self._released.wait(RENEW_S):
            try:
                lost = self._renew()
            except Exception as error:  # Remote file systems raise errors of many types.
                logging.warning("%s cannot be renewed: %s", self._file, error)
                unrenewed_s = time.monotonic() - self._renewed
                if unrenewed_s < EXPIRES_S - RENEW_S:
                    continue
                lost = f"the lease {self._file} could not be renewed for {unrenewed_s:.0f} s ({error})"
            if self._released.is_set():  # `release` has removed the file meanwhile.
                return
            if lost:
                self._on_loss(
                    f"This run no longer holds {self._folder}, because {lost}: nothing incomplete was published; run "
                    "the same command again when no other run uses it."
                )
                return

    def _renew(self) -> str:
        """Renews the lease. Returns why it is lost, or ""."""
        content = Holder.this_process().to_bytes()
        if not conditional_writes.replace_if(self._file, content, expected=self._content):
            found = conditional_writes.read_if_exists(self._file)
            holder = Holder.from_bytes(found) if found else None
            if holder is None:
                return f"its lease {self._file} was removed"
            if holder.owner != _THIS_PROCESS:
                return f"another ({holder}) has taken it over"
            content = found  # An earlier renewal was reported as failed, but has succeeded.
        self._content = content
        self._renewed = time.monotonic()
        return ""


@contextlib.contextmanager
def held(folder: epath.Path, *, flag: str, on_loss: Callable[[str], None]) -> Iterator[None]:
    """Holds the lease of a folder until the block ends. See `Lease` for the arguments.

    Raises:
        UserError: Another run holds it, or the folder cannot be used.
    """
    lease = Lease(folder, flag=flag, on_loss=on_loss)
    try:
        lease.take()
    except UserError:
        raise
    except Exception as error:  # Remote file systems raise errors of many types.
        known = file_errors.as_user_error(error, place=f"{flag} {folder}")
        raise known or UserError(
            f"{flag} {folder} cannot be used ({error_text.first_line(error)}): check its name, the network and your "
            "credentials."
        ) from error
    try:
        yield
    finally:
        lease.release()


def is_held(folder: epath.Path) -> bool:
    """Returns whether this process holds the lease of a folder."""
    found = conditional_writes.read_if_exists(folder / NAME)
    holder = Holder.from_bytes(found) if found else None
    return holder is not None and holder.owner == _THIS_PROCESS


def is_live(folder: epath.Path) -> bool:
    """Returns whether any process holds the lease of a folder and renews it."""
    found = conditional_writes.read_if_exists(folder / NAME)
    holder = Holder.from_bytes(found) if found else None
    return holder is not None and not holder.has_expired()
