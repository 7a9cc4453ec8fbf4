"""The root folder of a pipeline: where each file is, and the lock that keeps a second run out."""

import contextlib
import dataclasses
import fcntl
import os
import pathlib
from collections.abc import Iterator

from etils import epath

from beam_jobs import storage
from components.errors import UserError


@dataclasses.dataclass(frozen=True)
class Root:
    """The folder that a pipeline writes into.

    It holds `metadata.sqlite`, `artifacts`, `tensorboard`, `logs` and `report.json`, and `work` and `staging` during a
    run.
    """

    path: epath.Path

    @property
    def is_local(self) -> bool:
        """Whether the folder is on this machine, not at a URL such as gs://bucket/name."""
        return not storage.is_remote(self.path)

    @property
    def tensorboard(self) -> epath.Path:
        """The folder for `tensorboard --logdir`."""
        return self.path / "tensorboard"

    @property
    def report(self) -> epath.Path:
        """The file with the report of the last run."""
        return self.path / "report.json"

    def metadata_uri(self) -> str:
        """Returns the default metadata store, a SQLite file.

        Raises:
            UserError: The root is remote, and SQLite needs a local file.
        """
        if not self.is_local:
            raise UserError(f"--root {self.path} cannot hold a SQLite file: name a store with --metadata mysql://...")
        return os.fspath(self.path / "metadata.sqlite")

    def log_file(self, name: str) -> pathlib.Path:
        """Returns the log file of a run. It is always local: under `runs` if the root is remote."""
        folder = pathlib.Path(self.path if self.is_local else "runs")
        return folder / "logs" / f"{name}.log"

    def published(self, *, stage: str, output: str, execution_id: int) -> epath.Path:
        """Returns the folder that an output of a finished execution is moved to."""
        return self.path / "artifacts" / stage / output / str(execution_id)

    def all_published(self, *, stage: str, execution_id: int) -> list[epath.Path]:
        """Returns the existing folders of all outputs of an execution."""
        artifacts = self.path / "artifacts" / stage
        if not artifacts.exists():
            return []
        folders = [output / str(execution_id) for output in artifacts.iterdir()]
        return [folder for folder in folders if folder.exists()]

    def staging(self, execution_id: int) -> epath.Path:
        """Returns the folder that holds the outputs of an execution while it runs."""
        return self.path / "staging" / str(execution_id)

    def work(self, *, stage: str, cache_key: str) -> epath.Path:
        """Returns the scratch folder of a stage. Executions with the same cache key have the same folder."""
        return self.path / "work" / stage / cache_key[:16]

    def events(self, *, stage: str, cache_key: str) -> epath.Path:
        """Returns the folder for the event files of an execution."""
        return self.tensorboard / stage / cache_key[:8]

    def check_folder(self) -> None:
        """Checks, without a change, that the root is a folder or can become one.

        Raises:
            UserError: It, or what it would be in, is a file.
        """
        existing = next((path for path in (self.path, *self.path.parents) if path.exists()), None)
        if self.is_local and existing is not None and not existing.is_dir():
            raise UserError(
                f"--root {self.path} cannot be used ({existing} is a file): give a folder that can be written to."
            )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other runs out until the block or the process ends. Remote roots are not locked.

        Raises:
            UserError: Another run holds the lock, or the folder cannot be created.
        """
        if not self.is_local:
            yield
            return
        file = self._lock_file()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            stream = file.open("a+")
        except OSError as error:
            raise UserError(
                f"--root {self.path} cannot be used ({error.strerror}): give a folder that can be written to."
            ) from error
        with stream:
            try:
                # A record lock, because children that outlive a killed run would inherit a lock of flock().
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
        """Returns whether another process holds the lock. A remote root counts as locked, because it has no lock.

        Do not call it while this process holds the lock: a process loses all its record locks on a file when it closes
        the file.
        """
        if not self.is_local:
            return True
        try:
            with self._lock_file().open("r+") as stream:
                fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def _lock_file(self) -> pathlib.Path:
        return pathlib.Path(self.path) / ".lock"
