"""Settings that TensorFlow reads from the environment. They take effect if set before TensorFlow is used."""

import os

from beam_jobs.remote_file import TENSORFLOW_READ_BYTES
from components import host_memory

_MEMORY_SHARE = 0.9
"""Share of the memory that the pool may take."""


def apply() -> None:
    """Sets the variables that the environment does not set already.

    * Memory of tensors stays in a pool instead of being returned to the system. Otherwise the activations of each
      training step cost millions of page faults. TensorFlow uses the pool by itself where it uses oneDNN, which depends
      on the processor. The pool has a limit, so that what does not fit is often an error and not the death of the
      process. This is no promise: an allocation that fails inside a kernel may end the process with SIGSEGV, and the
      system may kill it first. The Trainer therefore estimates its memory before it starts
      (`components.trainer.memory_check`).
    * A read from a file in a bucket takes at least 384 KiB, a clip of 10 s, and not 64 MB, which would be 200 times as
      much as training needs for a clip. What reads whole files asks for more at a time (`beam_jobs.examples.read`).
    * Only errors are logged. The warnings are about GPUs that do not exist.
    """
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
    os.environ.setdefault("TF_CPU_BFC_MEM_LIMIT_IN_MB", str(int(_MEMORY_SHARE * host_memory.total_bytes() / 2**20)))
    os.environ.setdefault("GCS_READAHEAD_BUFFER_SIZE_BYTES", str(TENSORFLOW_READ_BYTES))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
