"""The folder that a pipeline lives in: where everything is, and who may use it."""

import contextlib
import dataclasses
import fcntl
import os
import pathlib
from collections.abc import Iterator

from etils import epath

from components.errors import UserError


@dataclasses.dataclass(frozen=True)
class Root:
    """`<root>/{metadata.sqlite, artifacts, tensorboard, logs, report.json}`, and `work` and `staging` while it runs."""

    path: epath.Path

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine (not gs:// or the like)."""
        return "://" not in os.fspath(self.path)

    def metadata_uri(self) -> str:
        """The default metadata store.

        Raises:
            UserError: the root is remote, where SQLite cannot be.
        """
        if not self.is_local:
            raise UserError(f"--root {self.path} cannot hold a SQLite file: name a store with --metadata mysql://...")
        return os.fspath(self.path / "metadata.sqlite")

    def published(self, *, stage: str, output: str, execution_id: int) -> epath.Path:
        """Where an output goes once its stage has ended well."""
        return self.path / "artifacts" / stage / output / str(execution_id)

    def staging(self, execution_id: int) -> epath.Path:
        """Where a running execution writes its outputs, a folder each."""
        return self.path / "staging" / str(execution_id)

    def work(self, *, stage: str, key: str) -> epath.Path:
        """A stage's scratch folder, the same one for the same recipe."""
        return self.path / "work" / stage / key[:16]

    @property
    def tensorboard(self) -> epath.Path:
        """What `tensorboard --logdir` takes."""
        return self.path / "tensorboard"

    def events(self, *, stage: str, key: str) -> epath.Path:
        """Where an execution writes its event files."""
        return self.tensorboard / stage / key[:8]

    @property
    def report(self) -> epath.Path:
        """The last run's report."""
        return self.path / "report.json"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps a second run out for as long as the block (or the process) lasts. Remote roots are not locked.

        Raises:
            UserError: another run holds it, or the folder cannot be made.
        """
        if not self.is_local:
            yield
            return
        file = pathlib.Path(self.path) / ".lock"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            stream = file.open("a+")
        except OSError as error:
            raise UserError(
                f"--root {self.path} cannot be used ({error.strerror}): give a folder that can be written to."
            ) from error
        with stream:
            try:
                # A record lock: unlike flock's it is not inherited by children that outlive a killed run.
                fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                stream.seek(0)
                raise UserError(
                    f"Another diptych run (process {stream.read().strip() or 'unknown'}) is using {self.path}: "
                    "wait for it, stop it, or give this one another --root."
                ) from error
            stream.truncate(0)
            stream.write(str(os.getpid()))
            stream.flush()
            yield

    def is_locked(self) -> bool:
        """Whether another process holds `lock`; of a remote root that cannot be told, and it is taken for locked.

        Never call it while holding the lock: closing any file of a process gives up its record locks on it.
        """
        if not self.is_local:
            return True
        try:
            with (pathlib.Path(self.path) / ".lock").open("r+") as stream:
                fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False


def remove(folder: epath.Path) -> None:
    """Removes a folder if it is there."""
    if folder.exists():
        folder.rmtree()
