"""Checkpoints of a run in the stage's work folder, from which a stopped run goes on.

    step-00000400/       the newest ones
    best-00000300/       the best by the valid split
        state.index, state.data-...    variables, in TensorFlow's format
        checkpoint.json                step, score, and SHA-256 and size of the files

A checkpoint is written under another name, then renamed, and its files are held against their digests before it is
read: one that a full disk or a crash has cut short is passed over, and said to be.
"""

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Sequence

import keras
import tensorflow as tf
from absl import logging
from etils import epath

from beam_jobs import storage
from components.errors import UserError

_RECORD, _STATE = "checkpoint.json", "state"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """How the choice of the best model stands; part of every checkpoint, so that a resumed run chooses alike.

    Attributes:
        step: Of the best model so far; None before the first look at the valid split.
        score: Its score, higher for better.
        waited: Looks at the valid split since.
        looked: The step of the last look; a run that is stopped between a step and its look takes it when it resumes.
    """

    step: int | None = None
    score: float | None = None
    waited: int = 0
    looked: int = 0


class Checkpoints:
    """Weights, optimiser, random state and step: saved together, and read back on construction.

    Args:
        folder: Where they lie; one stage with one config, code and input owns it.
        variables: All Keras variables that a step reads or writes, in an order that is always the same.
        step: The one among them that counts the steps.
        keep: How many of the newest stay.
        writes: Whether this process saves: of several that train together one does, and all read.

    Raises:
        UserError: if there are checkpoints, but none is whole, or they are of another model.
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
        self.standing = Standing()
        self._step, self._keep, self._writes = step, keep, writes
        state = _State({f"variable_{index}": variable.value for index, variable in enumerate(variables)})
        self._checkpoint = tf.train.Checkpoint(state=state)
        self._shapes = [f"{variable.dtype} {tuple(variable.shape)}" for variable in variables]
        self._resume()
        self.last_saved = self.step

    @property
    def step(self) -> int:
        """Steps done; 0 in a new run."""
        return int(self._step.value.numpy())

    @property
    def newest(self) -> int:
        """The step of the newest checkpoint of either kind; 0 if there is none."""
        return max((_step_of(path) for path in (*self._all("step"), *self._all("best"))), default=0)

    def save(self) -> None:
        """Saves the present state, unless that of this step is saved already.

        Raises:
            UserError: if it cannot be written; the checkpoints that are there stay.
        """
        if self.step == self.last_saved:
            return
        self._write(self.folder / f"step-{self.step:08d}", standing=self.standing)
        self.last_saved = self.step
        self._remove(self._all("step")[: -self._keep])

    def save_best(self, standing: Standing) -> None:
        """Saves the present state as the best one, and lets the one before go; `standing` holds from then on.

        Raises:
            UserError: as `save`.
        """
        before = self._all("best")
        self._write(self.folder / f"best-{self.step:08d}", standing=standing)
        self.standing = standing
        self._remove(path for path in before if _step_of(path) != self.step)

    def restore_best(self) -> int:
        """Puts the best state back; returns its step. Without a look at the valid split the present state is the best.

        Raises:
            UserError: if it is not whole.
        """
        if self.standing.step is None:
            return self.step
        path = self._best
        if not path.exists() or self._read(path) is None:
            raise UserError(
                f"The best model's checkpoint {path} is gone or damaged: put it back, or remove {self.folder} to train "
                "anew."
            )
        return self.step

    def _resume(self) -> None:
        found = sorted((*self._all("step"), *self._all("best")), key=_step_of)
        for path in reversed(found):
            record = self._read(path)
            if record is not None:
                self.standing = Standing(**record["standing"])
                logging.info("resumed at step %d from %s", self.step, path)
                self._check_best(read=path)
                break
            if self._writes:  # out of the way of those to come
                aside = path.with_name(f"damaged-{path.name}")
                if aside.exists():
                    aside.rmtree()
                path.rename(aside)
        else:
            if found:
                raise UserError(f"No checkpoint in {self.folder} is whole: remove it to train anew.")
        if self._writes and self.folder.exists():
            for path in self.folder.iterdir():
                if path.name.endswith(storage.UNFINISHED):
                    path.rmtree()

    def _check_best(self, *, read: epath.Path) -> None:
        """Has the choice begin anew if the best one is not whole, which the one that was `read` just now is."""
        if self.standing.step is None or self._best == read:
            return
        path = self._best
        try:
            _check_files(path, json.loads((path / _RECORD).read_text()))
        except (OSError, ValueError, KeyError) as error:
            logging.error(
                "the best checkpoint %s is gone or damaged (%s): the best is chosen anew from here", path, error
            )
            self.standing = Standing(looked=self.standing.looked)

    @property
    def _best(self) -> epath.Path:
        return self.folder / f"best-{self.standing.step:08d}"

    def _remove(self, paths: Iterable[epath.Path]) -> None:
        for path in paths:
            if self._writes and path.exists():
                path.rmtree()

    def _all(self, kind: str) -> list[epath.Path]:
        """Finished checkpoints of a kind, the oldest first."""
        if not self.folder.exists():
            return []
        paths = (path for path in self.folder.iterdir() if path.name.startswith(f"{kind}-"))
        return sorted((path for path in paths if not path.name.endswith(storage.UNFINISHED)), key=_step_of)

    def _read(self, path: epath.Path) -> dict | None:
        """Reads one into the variables; None, and an error in the log, if it is not whole."""
        try:
            record = json.loads((path / _RECORD).read_text())
            self._check_shapes(path, record["variables"])
            _check_files(path, record)
            self._checkpoint.read(os.fspath(path / _STATE)).assert_consumed()
        except (OSError, ValueError, KeyError, AssertionError, tf.errors.OpError) as error:
            logging.error("the checkpoint %s is damaged and passed over: %s", path, error)
            return None
        return record

    def _check_shapes(self, path: epath.Path, saved: list[str]) -> None:
        if saved != self._shapes:
            raise UserError(
                f"The checkpoint {path} is of another model or optimiser: remove {self.folder} to train anew, or train "
                "with what wrote it."
            )

    def _write(self, target: epath.Path, *, standing: Standing) -> None:
        if not self._writes:
            return
        unfinished = target.with_name(target.name + storage.UNFINISHED)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in (unfinished, target):
                if path.exists():
                    path.rmtree()
            unfinished.mkdir()
            self._checkpoint.write(os.fspath(unfinished / _STATE))
            record = {
                "step": self.step,
                "standing": dataclasses.asdict(standing),
                "variables": self._shapes,
                "files": {path.name: storage.file_digest(path) for path in _files(unfinished)},
            }
            (unfinished / _RECORD).write_text(json.dumps(record, indent=1))
            unfinished.rename(target)
        except (OSError, tf.errors.OpError) as error:
            last = self.newest
            reason = getattr(error, "strerror", None) or getattr(error, "message", str(error)).partition("\n")[0]
            kept = f"that of step {last:,} is kept" if last else "there is none before it"
            raise UserError(
                f"The checkpoint of step {self.step:,} cannot be written to {self.folder} ({reason}); {kept}. Make "
                "room, or the folder writable, and run the same command again."
            ) from error


class _State(tf.Module):
    """Gives each variable a name of its own in the checkpoint; Keras' paths are not unique."""

    def __init__(self, variables: dict[str, tf.Variable]):
        super().__init__()
        for name, variable in variables.items():
            setattr(self, name, variable)


def _check_files(path: epath.Path, record: dict) -> None:
    """Raises ValueError if a checkpoint's files are not as they were written, OSError if one is gone."""
    for name, digest in record["files"].items():
        if list(storage.file_digest(path / name)) != digest:
            raise ValueError(f"{name} is not as it was written")


def _step_of(path: epath.Path) -> int:
    return int(path.name.partition("-")[2])


def _files(folder: epath.Path) -> Iterator[epath.Path]:
    yield from sorted(path for path in folder.iterdir() if path.name.startswith(f"{_STATE}."))
