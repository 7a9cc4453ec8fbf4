"""`.tflite` files that the Exporter wrote, run by LiteRT. They need no TensorFlow."""

import importlib
import os
import queue
import threading
import types
import warnings
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from beam_jobs import command_lines
from components import embedding_info, load_errors
from components.embedding_info import NAME_IN_FILES, EmbeddingInfo
from diptych.errors import DiptychError
from diptych.runtimes import fixed_window
from diptych.runtimes.fixed_window import FixedWindowModel

_MODULES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter", "tensorflow.lite.python.interpreter")
"""Modules with an `Interpreter`. The last one serves where TensorFlow is installed and LiteRT is not."""

_SMALL_BYTES = 2**22
"""A smaller model gains little from several threads for one window. So each of its interpreters has one thread, and
there are as many as windows to embed at the same time, of a few megabytes each."""


class _Interpreter(Protocol):
    def allocate_tensors(self) -> None: ...

    def get_signature_runner(self, signature_key: str) -> "_Runner": ...


class _Runner(Protocol):
    def __call__(self, **inputs: np.ndarray) -> Mapping[str, np.ndarray]: ...


def load(path: str) -> FixedWindowModel:
    """Loads a file.

    Raises:
        UserError: The file cannot be read, another program wrote it, it is damaged, or LiteRT is not installed.
    """
    content = fixed_window.read(path)
    info = _read_info(content, source=path)
    cores = len(os.sched_getaffinity(0))
    threads = cores if len(content) <= _SMALL_BYTES else 1
    with load_errors.as_user_errors(f"{path} cannot be loaded", way_out="copy it again, or export it again"):
        runners = _Runners(content, source=path, most=threads, threads_of_each=cores // threads)
    return FixedWindowModel(info, runners.embed, source=path, threads=threads)


def library(path: str) -> str:
    """Returns name and version of what runs a file here, e.g. "ai_edge_litert 2.3.0".

    Raises:
        DiptychError: Nothing that can is installed.
    """
    package = importlib.import_module(_module(path).__name__.partition(".")[0])
    return f"{package.__name__} {package.__version__}"


def _read_info(content: bytes, *, source: str) -> EmbeddingInfo:
    """Reads the info of the file. The interpreter would read beyond the end of a file that was cut short, and crash."""
    info = embedding_info.in_tflite(content, source=source)
    if info is None:
        raise DiptychError(
            f"{source} does not end with {NAME_IN_FILES}.json: it was cut short, or Diptych did not write it; copy it "
            "again, or give a .tflite file that `exporter.formats` made."
        )
    return info


class _Runners:
    """Interpreters of one model. Each holds the tensors of one call, so no two threads call the same one at once.

    Args:
        content: The file.
        source: Its path.
        most: Number of interpreters at most. The first one is made at once, the others as soon as they are needed.
        threads_of_each: Threads of each of them.
    """

    def __init__(self, content: bytes, *, source: str, most: int, threads_of_each: int):
        self._content, self._source, self._threads = content, source, threads_of_each
        self._idle: queue.LifoQueue[_Runner] = queue.LifoQueue()
        self._idle.put(self._make())
        self._to_make = threading.Semaphore(most - 1)

    def embed(self, window: np.ndarray) -> Mapping[str, np.ndarray]:
        """Embeds a window, float32 (1, crop_samples)."""
        runner = self._take()
        try:
            return runner(audio=window)
        finally:
            self._idle.put(runner)

    def _take(self) -> _Runner:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            if not self._to_make.acquire(blocking=False):
                return self._idle.get()
        try:
            return self._make()
        except BaseException:  # E.g. for want of memory, of which there may be enough later.
            self._to_make.release()
            raise

    def _make(self) -> _Runner:
        interpreter = _open(self._content, source=self._source, threads=self._threads)
        return interpreter.get_signature_runner("serving_default")


def _open(content: bytes, *, source: str, threads: int) -> _Interpreter:
    module = _module(source)
    with warnings.catch_warnings():
        # TensorFlow 2.19 and later warn that a later one will lack it; then `_module` says what to install.
        warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated")
        interpreter = module.Interpreter(model_content=content, num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter


def _module(source: str) -> types.ModuleType:
    for name in _MODULES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise DiptychError(f"{source} needs LiteRT: run `{command_lines.pip_install('ai-edge-litert')}`.")
