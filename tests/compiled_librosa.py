"""librosa, compiled in one process of a test run, where all would compile it at the same time."""

import fcntl
import functools
import os
import pathlib
import tempfile
import types

import numpy as np


@functools.cache
def librosa() -> types.ModuleType:
    """Returns librosa.

    Its first use in a new environment lets numba compile it, for half a minute. Here one process does so at a time, and
    the others then find what it has compiled in numba's cache.
    """
    import librosa

    with pathlib.Path(tempfile.gettempdir(), f"diptych_tests_librosa_{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        librosa.feature.melspectrogram(y=np.zeros(4096, np.float32), sr=16000)
    return librosa
