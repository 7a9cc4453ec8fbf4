"""Waits for failures that may pass: of a bucket, a network file system, or a machine that is short of memory."""

import time

_PAUSES_S = (1.0, 4.0)  # Before the second and the third try of a clip.
_TRIES_PER_SHARD = 30  # If a whole file system is down, waiting for each of its clips would take days.


class Retries:
    """The further tries of the clips of one shard."""

    def __init__(self) -> None:
        self._left = _TRIES_PER_SHARD

    def wait(self, tries: int) -> bool:
        """Waits before another try of a clip, and returns True. Without another try, returns False at once.

        Args:
            tries: How often the clip has been tried.
        """
        if tries > len(_PAUSES_S) or not self._left:
            return False
        self._left -= 1
        time.sleep(_PAUSES_S[tries - 1])
        return True
