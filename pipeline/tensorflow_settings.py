"""Settings that TensorFlow reads from the environment. They take effect if set before TensorFlow is used."""

import os
import pathlib

_MEMORY_SHARE = 0.9
"""Share of the memory that the pool may take."""

_CONTAINER_LIMIT = pathlib.Path("/sys/fs/cgroup/memory.max")


def apply() -> None:
    """Sets the variables that the environment does not set already.

    * Memory of tensors stays in a pool instead of being returned to the system. Otherwise the activations of each
      training step cost millions of page faults. TensorFlow uses the pool by itself where it uses oneDNN, which depends
      on the processor. The pool has a limit so that TensorFlow may report what does not fit as an error. This is not
      reliable: an allocation that fails inside a kernel may also end the process with SIGSEGV.
    * Only errors are logged. The warnings are about GPUs that do not exist.
    """
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
    os.environ.setdefault("TF_CPU_BFC_MEM_LIMIT_IN_MB", str(int(_MEMORY_SHARE * _memory_bytes() / 2**20)))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _memory_bytes() -> int:
    """Returns the memory of the machine, or the limit of the container if that is lower."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _CONTAINER_LIMIT.read_text().strip() if _CONTAINER_LIMIT.exists() else "max"
    if limit == "max":
        return physical
    return min(physical, int(limit))
