"""How TensorFlow is to run on a CPU: what it reads from the environment, so set before anything uses it."""

import os
import pathlib

_POOL = 0.9  # of the memory that there is
_CONTAINER = pathlib.Path("/sys/fs/cgroup/memory.max")


def apply() -> None:
    """Sets what the environment does not say already.

    * Memory of tensors is kept in a pool rather than handed back to the system and asked for again: a step's
      activations cost millions of page faults otherwise. TensorFlow does so by itself where it uses oneDNN, which
      depends on the processor. A pool has a limit, so that what does not fit ends in an error that can be caught.
    * Only errors are logged: what is left is noise about GPUs that are not there.
    """
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
    os.environ.setdefault("TF_CPU_BFC_MEM_LIMIT_IN_MB", str(int(_POOL * _memory() / 2**20)))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _memory() -> int:
    """Bytes of the machine's memory, or of what a container may have of it."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    allowed = _CONTAINER.read_text().strip() if _CONTAINER.exists() else "max"
    return physical if allowed == "max" else min(physical, int(allowed))
