"""Checkpoints in the stage's work folder, from which a stopped run resumes.

    step-00000400/    the newest checkpoints
    best-00000300/    the best model by validation

A checkpoint that a full disk or a crash has damaged is reported, renamed to damaged-NAME and skipped, if there is an
undamaged one before it. One that cannot be read now is not damaged, and nothing is skipped.
"""

import os
import re
from collections.abc import Iterable, Sequence

import keras
import tensorflow as tf
from absl import logging
from etils import epath

from beam_jobs import storage
from components.errors import DamagedFile, UserError
from components.trainer import checkpoint_files
from components.trainer.validation_state import ValidationState

_NEWEST, _BEST = "step", "best"
_DAMAGED = "damaged-"


class Checkpoints:
    """Saves and restores weights, optimizer, random states and step together.

    The newest undamaged checkpoint, if there is any, is restored on construction.

    Args:
        folder: Where the checkpoints are. One cache key owns it.
        variables: All Keras variables that a step reads or writes, always in the same order.
        step: The variable among them that counts the steps.
        keep: Number of newest checkpoints to keep.
        writes: Whether this process saves. Of the processes that train together one saves, and all restore.

    Attributes:
        folder: See above.
        validation_state: What the validations so far have decided. The next checkpoint contains it.
        last_saved: Step of the last checkpoint that was saved or restored; 0 if there is none.

    Raises:
        DamagedFile: There are checkpoints, but all are damaged.
        UserError: A checkpoint is of another model, or cannot be read.
    """

    def __init__(
        self,
        folder: epath.Path,
        *,
        variables: Sequence[keras.Variable],
        step: keras.Variable,
        keep: int = 2,
        writes: bool = True,
    ):
        self.folder = folder
        self.validation_state = ValidationState()
        self._files = checkpoint_files.CheckpointFiles(variables)
        self._step, self._keep, self._writes = step, keep, writes
        self._resume()
        self._remove_unfinished()
        self.last_saved = self.step

    @property
    def step(self) -> int:
        """The number of steps done."""
        return int(self._step.value.numpy())

    @property
    def newest(self) -> int:
        """The step of the newest checkpoint of either kind; 0 if there is none."""
        return max((_step_of(path) for path in self._all(_NEWEST, _BEST)), default=0)

    def save(self) -> None:
        """Saves the current state, unless a checkpoint of this step is saved already.

        Raises:
            UserError: The checkpoint cannot be written. The existing ones stay.
        """
        if self.step == self.last_saved:
            return
        self._write(_NEWEST, validation_state=self.validation_state)
        self.last_saved = self.step
        self._remove(self._all(_NEWEST)[: -self._keep])

    def save_best(self, validation_state: ValidationState) -> None:
        """Saves the current state as the best one and removes the previous best one.

        Args:
            validation_state: The new validation state.

        Raises:
            UserError: The checkpoint cannot be written. The existing ones stay.
        """
        previous = [path for path in self._all(_BEST) if _step_of(path) != self.step]
        self._write(_BEST, validation_state=validation_state)
        self.validation_state = validation_state
        self._remove(previous)

    def restore_best(self) -> int:
        """Restores the best state and returns its step. Without any validation, the current state is the best.

        Raises:
            DamagedFile: The best checkpoint is damaged or gone.
            UserError: It cannot be read.
        """
        if self.validation_state.best_step is None:
            return self.step
        path = self._path(_BEST, step=self.validation_state.best_step)
        if self._read(path) is None:
            raise DamagedFile(
                f"The best model's checkpoint {path} is gone or damaged: put it back, or remove {self.folder} to train "
                "from the start.",
                path=os.fspath(path),
            )
        return self.step

    def publish(self, folder: epath.Path) -> None:
        """Copies the newest checkpoint and the best one, often the same, to a folder, from which `adopt` takes them."""
        for path in dict.fromkeys([self._all(_NEWEST, _BEST)[-1], *self._all(_BEST)[-1:]]):
            storage.copy_tree(path, folder / path.name, last=checkpoint_files.RECORD)

    def _resume(self) -> None:
        damaged = []
        for path in reversed(self._all(_NEWEST, _BEST)):
            validation_state = self._read(path)
            if validation_state is not None:
                logging.info("resumed at step %d from %s", self.step, path)
                self.validation_state = validation_state
                self._set_aside(damaged)
                self._check_best(restored=path)
                return
            damaged.append(path)
        if damaged or any(name.startswith(_DAMAGED) for name in self._names()):
            message = f"All checkpoints in {self.folder} are damaged: remove it to train from the start."
            raise DamagedFile(message, path=os.fspath(self.folder))

    def _check_best(self, *, restored: epath.Path) -> None:
        """Forgets the best model if its checkpoint is damaged or gone, so that the next validation chooses again.

        Args:
            restored: The checkpoint that was just restored, which is known to be undamaged.
        """
        state = self.validation_state
        if state.best_step is None:
            return
        path = self._path(_BEST, step=state.best_step)
        if path == restored:
            return
        try:
            checkpoint_files.verify(path)
        except checkpoint_files.DamagedError as error:
            logging.error(
                "the best checkpoint %s is gone or damaged (%s): the best model is chosen again from here", path, error
            )
            self.validation_state = ValidationState(last_validated_step=state.last_validated_step)

    def _read(self, path: epath.Path) -> ValidationState | None:
        """Restores a checkpoint. Logs an error and returns None if it is damaged or gone.

        Raises:
            UserError: It is of another model, or cannot be read.
        """
        try:
            return self._files.read(path)
        except checkpoint_files.DamagedError as error:
            logging.error("the checkpoint %s is damaged and skipped: %s", path, error)
            return None

    def _write(self, kind: str, *, validation_state: ValidationState) -> None:
        if not self._writes:
            return
        try:
            self._files.write(self._path(kind, step=self.step), step=self.step, validation_state=validation_state)
        except Exception as error:
            if not checkpoint_files.is_of_storage(error):
                raise
            kept = self._kept()
            raise UserError(
                f"The checkpoint of step {self.step:,} cannot be written to {self.folder} "
                f"({checkpoint_files.reason(error)}); {kept}. Make room, or make the folder writable, and run the same "
                "command again."
            ) from error

    def _kept(self) -> str:
        """Returns which checkpoint is there when the next one cannot be written."""
        try:
            newest = self.newest
        except UserError:  # The service has stopped to answer.
            return "those before it are kept"
        return f"that of step {newest:,} is kept" if newest else "there is none before it"

    def _set_aside(self, paths: Iterable[epath.Path]) -> None:
        """Renames damaged checkpoints, so that they do not count among the newest."""
        if self._writes:
            for path in paths:
                target = path.with_name(f"{_DAMAGED}{path.name}")
                storage.remove_tree(target)
                path.rename(target)

    def _remove(self, paths: Iterable[epath.Path]) -> None:
        if self._writes:
            for path in paths:
                storage.remove_tree(path)

    def _remove_unfinished(self) -> None:
        name_of_ours = rf"({_NEWEST}|{_BEST})-\d+({re.escape(storage.UNFINISHED)})?"
        paths = [self.folder / name for name in self._names() if re.fullmatch(name_of_ours, name)]
        self._remove([path for path in paths if checkpoint_files.is_unfinished(path)])

    def _path(self, kind: str, *, step: int) -> epath.Path:
        return self.folder / f"{kind}-{step:08d}"

    def _all(self, *kinds: str) -> list[epath.Path]:
        """Returns the finished checkpoints of the given kinds, the oldest first."""
        names = [name for kind in kinds for name in self._names() if re.fullmatch(rf"{kind}-\d+", name)]
        paths = sorted((self.folder / name for name in names), key=_step_of)
        return [path for path in paths if not checkpoint_files.is_unfinished(path)]

    def _names(self) -> list[str]:
        """Returns the names of everything in the folder, nothing if it does not exist."""
        try:
            return [path.name for path in self.folder.iterdir()]
        except (FileNotFoundError, NotADirectoryError, tf.errors.NotFoundError):
            return []
        except Exception as error:
            if not checkpoint_files.is_of_storage(error):
                raise
            raise checkpoint_files.unreadable_error(self.folder, error) from error


def adopt(published: epath.Path, *, folder: epath.Path) -> None:
    """Copies checkpoints that `publish` wrote to a folder, so that a training goes on from them.

    Called again after a kill, it copies what is missing. A training that has a newer checkpoint is left alone.

    Raises:
        DamagedFile: A checkpoint is damaged, or there is none.
    """
    sources = _named(published)
    if not sources:
        raise _not_adoptable(published, f"{published}, from which this training goes on, has no checkpoint: put them")
    newest = _step_of(sources[-1])
    if any(_step_of(path) >= newest for path in _named(folder) if not checkpoint_files.is_unfinished(path)):
        return
    for source in sources:  # The newest one is copied last, and says that all are there.
        try:
            checkpoint_files.verify(source)  # Before the copy, which is finished in a bucket as soon as it is made.
        except checkpoint_files.DamagedError as error:
            message = f"The checkpoint {source}, from which this training goes on, is damaged ({error}): put it"
            raise _not_adoptable(source, message) from error
        with checkpoint_files.being_written(folder / source.name) as unfinished:
            storage.copy_tree(source, unfinished, last=checkpoint_files.RECORD)


def _not_adoptable(path: epath.Path, what: str) -> DamagedFile:
    message = f"{what} back, or train from the start with trainer.extend=false."
    return DamagedFile(message, path=os.fspath(path))


def _named(folder: epath.Path) -> list[epath.Path]:
    """Returns what is named like a checkpoint in a folder, which need not exist, the oldest first."""
    if not folder.exists():
        return []
    named = [path for path in folder.iterdir() if re.fullmatch(rf"({_NEWEST}|{_BEST})-\d+", path.name)]
    return sorted(named, key=_step_of)


def _step_of(path: epath.Path) -> int:
    return int(path.name.partition("-")[2])
