"""The root folder of a pipeline: where each file is, and the lock that keeps a second run out."""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator

from etils import epath

from beam_jobs import conditional_writes, google_storage, storage
from beam_jobs import google_path as google_path  # Paths of buckets.
from components import file_errors
from components.errors import UserError
from pipeline import file_lock, lease
from pipeline.runner import interrupts

_names_in_buckets: dict[str, str] = {}
"""Path of a root that this process has locked -> its name, which it keeps; asking for it takes a request."""


@dataclasses.dataclass(frozen=True)
class Root:
    """The folder that a pipeline writes into.

    It holds `metadata.sqlite`, `artifacts` with checksums and marks beside the published folders (see
    `pipeline.checksums`), `tensorboard`, `logs`, `report.json` and `.pipeline`, the root's name in the metadata, and
    `.last_id`, the id of its last execution. During a run it holds `work` and `staging`. A local root has `.lock` for
    the file lock, and a remote one `.lease`.

    Attributes:
        path: The folder.
        flag: The argument that named it, for messages.
    """

    path: epath.Path
    flag: str = "--root"

    @property
    def is_local(self) -> bool:
        """Whether the folder is on this machine, not at a URL such as gs://bucket/name."""
        return not storage.is_remote(self.path)

    @property
    def name(self) -> str:
        """The name in the metadata: the path where the root was first used, which a root that is moved keeps."""
        if os.fspath(self.path) in _names_in_buckets:
            return _names_in_buckets[os.fspath(self.path)]
        with file_errors.as_user_errors(place=os.fspath(self.path)):
            kept = conditional_writes.read_if_exists(self._name_file)
        return kept.decode() if kept else storage.canonical(os.fspath(self.path))

    @property
    def tensorboard(self) -> epath.Path:
        """The folder for `tensorboard --logdir`; see `pipeline.event_folders`."""
        return self.path / "tensorboard"

    @property
    def report(self) -> epath.Path:
        """The file with the report of the last run."""
        return self.path / "report.json"

    @property
    def experiments(self) -> epath.Path:
        """The folder for results and costs of `diptych ablate`, which only its roots have."""
        return self.path / "experiments"

    def metadata_uri(self) -> str:
        """Returns the default metadata store, a SQLite file.

        Raises:
            UserError: The root is remote, and SQLite needs a local file.
        """
        if not self.is_local:
            raise UserError(
                f"--root {self.path} cannot hold a SQLite file: name a local one, or mysql://..., with --metadata."
            )
        return os.fspath(self.path / "metadata.sqlite")

    def log_file(self, name: str) -> pathlib.Path:
        """Returns the log file of a run. It is always local: under `runs` if the root is remote."""
        folder = pathlib.Path(self.path if self.is_local else "runs")
        return folder / "logs" / f"{name}.log"

    def published(self, *, stage: str, output: str, execution_id: int) -> epath.Path:
        """Returns the folder of an output of a finished execution."""
        return self.path / "artifacts" / stage / output / str(execution_id)

    def all_published(self, *, stage: str, execution_id: int) -> list[epath.Path]:
        """Returns the folders of all outputs of an execution, which need not exist."""
        artifacts = self.path / "artifacts" / stage
        if not artifacts.exists():
            return []
        return [output / str(execution_id) for output in artifacts.iterdir()]

    def take_id(self, *, above: int) -> int:
        """Returns the id of a new execution, which no execution under this root has had. Call it inside `lock`.

        Args:
            above: The highest id that the metadata knows.
        """
        kept = (conditional_writes.read_if_exists(self._last_id_file) or b"").strip()
        last = int(kept) if kept.isdigit() else self._last_published_id()
        taken = max(last, above) + 1
        storage.write_text(self._last_id_file, str(taken))
        return taken

    def _last_published_id(self) -> int:
        """Returns the highest id of an execution of which there is an output; 0 if there is none."""
        artifacts = self.path / "artifacts"
        if not artifacts.exists():
            return 0
        outputs = (output for stage in folders(artifacts) for output in folders(stage))
        names = (folder.name for output in outputs for folder in folders(output))
        return max((int(name) for name in names if name.isdecimal()), default=0)

    def staging(self, execution_id: int) -> epath.Path:
        """Returns the folder that holds the outputs of an execution while it runs, on a local root."""
        return self.path / "staging" / str(execution_id)

    def clear_staging(self) -> None:
        """Removes what killed processes have left in `staging`. Call it inside `lock`, before anything is written."""
        staging = self.path / "staging"
        if self.is_local and staging.exists():
            # Not the folder itself: a mounted one cannot be removed.
            for path in staging.iterdir():
                if path.is_dir():
                    storage.remove_tree(path)
                else:
                    path.unlink()

    def unpublished(self, *, stage: str, output: str, execution_id: int) -> epath.Path:
        """Returns the folder that an output is written to while the execution runs.

        A local folder is renamed when it is finished. A bucket cannot rename a folder at once, so there it is written
        in place. Nobody reads it until the metadata records the execution as complete.
        """
        if self.is_local:
            return self.staging(execution_id) / output
        return self.published(stage=stage, output=output, execution_id=execution_id)

    def check_output(self, *, stage: str, output: str) -> None:
        """Checks that a finished output can be moved from `staging` into place: before a stage runs, not hours later.

        Raises:
            UserError: The place is a link to another disk, or `staging` is.
        """
        place, staging = self.path / "artifacts" / stage / output, self.path / "staging"
        if self.is_local and _disk(place) != _disk(staging):
            raise UserError(
                f"{place} is on another disk than {staging}, from which finished outputs are moved into it: put both "
                "on one disk."
            )

    def work(self, *, stage: str, cache_key: str) -> epath.Path:
        """Returns the scratch folder of a stage. Executions with the same cache key have the same folder."""
        return self.path / "work" / stage / cache_key[:16]

    def check_folder(self) -> None:
        """Checks, without a change, that the root is a folder or can become one.

        Raises:
            UserError: It, or what it would be in, is a file; or `artifacts` alone is on another disk.
        """
        if not self.is_local:
            return
        existing = next((path for path in (self.path, *self.path.parents) if path.exists()), None)
        if existing is not None and not existing.is_dir():
            raise UserError(
                f"{self.flag} {self.path} cannot be used ({existing} is a file): give a folder that can be written to."
            )
        self._check_disks()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other runs out until the block or the process ends. A remote root is leased, see `pipeline.lease`.

        A run that loses its lease is interrupted, see `interrupts.stop`. Call it inside `interrupts.as_exceptions()`.

        Raises:
            UserError: Another run holds the lock, the folder cannot be created, its path is no UTF-8, its file system
                has no locks, or `artifacts` alone is on another disk.
        """
        self._check_spelling()
        with contextlib.ExitStack() as stack:
            if self.is_local:
                self._lock(stack)
            else:
                stack.enter_context(lease.held(self.path, flag=self.flag, on_loss=interrupts.stop))
            self._keep_name()
            yield

    def check_held(self) -> None:
        """Checks that this run still holds the lease of a remote root. Call it before publishing.

        Raises:
            UserError: Another run has taken it over, e.g. because this process was suspended for long.
        """
        if not self.is_local and not lease.is_held(self.path):
            raise UserError(
                f"This run no longer holds {self.path}, because another run has taken it over: nothing incomplete was "
                "published; run the same command again when no other run uses it."
            )

    def is_locked(self) -> bool:
        """Returns whether another process is running on the root. Writes nothing.

        Do not call it while this process holds the lock, see `file_lock.is_held_by_another`.
        """
        if self.is_local:
            return file_lock.is_held_by_another(self._lock_file)
        return lease.is_live(self.path)

    def _lock(self, stack: contextlib.ExitStack) -> None:
        """Locks a local root until `stack` is closed."""
        self._check_disks()
        try:
            stack.enter_context(file_lock.held(self._lock_file))
        except file_lock.HeldError as error:
            raise UserError(
                f"Another diptych run ({error}) is using {self.path}: wait for it, stop it, or give this one another "
                f"{self.flag}."
            ) from error
        except file_lock.NoLocksError as error:
            raise UserError(
                f"The file system of {self.flag} {self.path} has no record locks ({error}), which keep a second run "
                "out: give a folder on a local disk, or mount the file system with locks."
            ) from error
        except OSError as error:
            raise UserError(
                f"{self.flag} {self.path} cannot be used ({error.strerror}): give a folder that can be written to."
            ) from error

    def _check_spelling(self) -> None:
        try:
            os.fspath(self.path).encode()
        except UnicodeEncodeError as error:
            raise UserError(
                f"{self.flag} {self.path} is not spelled in UTF-8, as the metadata is: rename it, or give another "
                "folder."
            ) from error

    def _check_disks(self) -> None:
        """Checks that finished outputs can be moved from `staging` to `artifacts`: now, not hours later."""
        artifacts, staging = (_disk(self.path / name) for name in ("artifacts", "staging"))
        if artifacts not in (_disk(self.path), staging):
            raise UserError(
                f"{self.path / 'artifacts'} is on another disk than {self.path}, from which finished outputs are moved "
                f"into it: put the whole folder on one disk, and give it as {self.flag}."
            )

    def _keep_name(self) -> None:
        kept = conditional_writes.read_if_exists(self._name_file)
        name = kept.decode() if kept else storage.canonical(os.fspath(self.path))
        if kept is None:
            storage.write_text(self._name_file, name)
        if google_storage.is_used_for(self.path):
            _names_in_buckets[os.fspath(self.path)] = name

    @property
    def _name_file(self) -> epath.Path:
        return self.path / ".pipeline"

    @property
    def _last_id_file(self) -> epath.Path:
        return self.path / ".last_id"

    @property
    def _lock_file(self) -> pathlib.Path:
        return pathlib.Path(self.path) / ".lock"


def folders(folder: epath.Path) -> list[epath.Path]:
    """Returns the folders in a folder, which must exist."""
    return [folder / entry.name for entry in storage.entries(folder) if entry.is_folder]


def _disk(folder: epath.Path) -> int:
    """Returns the number of the disk of a folder, or of the one that it would be in."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return os.stat(existing).st_dev
