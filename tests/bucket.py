"""A bucket for tests: paths at gs:// that lie in a folder of this machine and behave as those on Cloud Storage do.

* A file is whole or not there. It appears when it is closed.
* A folder cannot be renamed at once: each of its files is copied and removed, one after the other.
* Several processes can use one bucket at a time.

It takes the place of TensorFlow's Python functions for files (`tf.io.gfile`), on which epath and `beam_jobs.storage`
build. TensorFlow's operations, such as those that read TFRecords, do not see it.
"""

import contextlib
import os
import pathlib
import shutil
import sys
import types
import uuid

import tensorflow as tf

SCHEME = "gs://"


class Bucket:
    """All buckets of Cloud Storage, in one folder.

    Args:
        folder: The folder. `gs://bucket/name` is its file `bucket/name`.
        before_write: Called with the name of each file before it appears. It may raise an error or end the process.
    """

    def __init__(self, folder, *, before_write=lambda name: None):
        self.folder = pathlib.Path(folder)
        self.before_write = before_write
        self._real = types.SimpleNamespace(**{name: getattr(tf.io.gfile, name) for name in _NAMES})

    def install(self, monkeypatch=None):
        """Takes the place of Cloud Storage, in a test until it ends, without `monkeypatch` until the process ends."""
        for name in _NAMES:
            function = getattr(self, name)
            monkeypatch.setattr(tf.io.gfile, name, function) if monkeypatch else setattr(tf.io.gfile, name, function)
        if "STORAGE_EMULATOR_HOST" not in os.environ:
            # Google's client would ask the real service.
            modules = {"google.cloud.storage": None}
            monkeypatch.setitem(sys.modules, *modules.popitem()) if monkeypatch else sys.modules.update(modules)

    def local(self, path):
        """Returns the place of a path on this machine."""
        path = os.fspath(path)
        return str(self.folder / path.removeprefix(SCHEME)) if path.startswith(SCHEME) else path

    def GFile(self, name, mode="r"):
        if not os.fspath(name).startswith(SCHEME):
            return self._real.GFile(name, mode)
        return self._write(name, mode) if "w" in mode else open(self.local(name), mode)

    @contextlib.contextmanager
    def _write(self, name, mode):
        target = self.local(name)
        unfinished = self.folder / f".{uuid.uuid4().hex}"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(unfinished, mode) as file:
            yield file
        self.before_write(os.fspath(name))
        os.replace(unfinished, target)

    def exists(self, path):
        return self._real.exists(self.local(path))

    def isdir(self, path):
        return self._real.isdir(self.local(path))

    def listdir(self, path):
        if not os.fspath(path).startswith(SCHEME):
            return self._real.listdir(path)
        folder = pathlib.Path(self.local(path))
        return [f"{entry.name}/" if entry.is_dir() else entry.name for entry in folder.iterdir()]

    def glob(self, pattern):
        found = self._real.glob(self.local(pattern))
        if not os.fspath(pattern).startswith(SCHEME):
            return found
        return [SCHEME + os.path.relpath(path, self.folder) for path in found]

    def makedirs(self, path):
        self._real.makedirs(self.local(path))

    mkdir = makedirs

    def rmtree(self, path):
        self._real.rmtree(self.local(path))

    def remove(self, path):
        self._real.remove(self.local(path))

    def stat(self, path):
        return self._real.stat(self.local(path))

    def copy(self, source, target, overwrite=False):
        if not os.fspath(target).startswith(SCHEME):
            self._real.copy(self.local(source), target, overwrite=overwrite)
            return
        if self.exists(target) and not overwrite:
            raise tf.errors.AlreadyExistsError(None, None, f"{target} exists")
        with open(self.local(source), "rb") as content, self._write(target, "wb") as copy:
            shutil.copyfileobj(content, copy)

    def rename(self, source, target, overwrite=False):
        if self.isdir(source):
            for entry in sorted(os.listdir(self.local(source))):
                self.rename(f"{source}/{entry}", f"{target}/{entry}", overwrite=overwrite)
            os.rmdir(self.local(source))
        else:
            self.copy(source, target, overwrite=overwrite)
            self.remove(source)


_NAMES = (
    "GFile",
    "exists",
    "isdir",
    "listdir",
    "glob",
    "makedirs",
    "mkdir",
    "rmtree",
    "remove",
    "stat",
    "copy",
    "rename",
)
