"""How TensorFlow is to run on a CPU: what it reads from the environment, so set before anything uses it."""

import os

_POOL = 0.9  # of the machine's memory


def apply() -> None:
    """Sets what the environment does not say already.

    * Memory of tensors is kept in a pool rather than handed back to the system and asked for again: a step's
      activations cost millions of page faults otherwise. TensorFlow does so by itself where it uses oneDNN, which
      depends on the processor. A pool has a limit, so that what does not fit ends in an error that can be caught.
    * Only errors are logged: what is left is noise about GPUs that are not there.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
    os.environ.setdefault("TF_CPU_BFC_MEM_LIMIT_IN_MB", str(int(_POOL * memory / 2**20)))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
