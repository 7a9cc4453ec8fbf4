"""`.tflite` files that the Exporter wrote, run by LiteRT. They need no TensorFlow."""

import importlib
import os
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
    with load_errors.as_user_errors(f"{path} cannot be loaded", way_out="copy it again, or export it again"):
        interpreter = _open(content, source=path)
        runner = interpreter.get_signature_runner("serving_default")
    lock = threading.Lock()

    def embed(window: np.ndarray) -> Mapping[str, np.ndarray]:
        with lock:  # An interpreter holds the tensors of one call.
            return runner(audio=window)

    return FixedWindowModel(info, embed, source=path)


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


def _open(content: bytes, *, source: str) -> _Interpreter:
    module = _module(source)
    with warnings.catch_warnings():
        # TensorFlow 2.19 and later warn that a later one will lack it; then `_module` says what to install.
        warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated")
        interpreter = module.Interpreter(model_content=content, num_threads=len(os.sched_getaffinity(0)))
    interpreter.allocate_tensors()
    return interpreter


def _module(source: str) -> types.ModuleType:
    for name in _MODULES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise DiptychError(f"{source} needs LiteRT: run `{command_lines.pip_install('ai-edge-litert')}`.")
