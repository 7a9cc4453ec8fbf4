"""Assigns clips to the train and the valid split."""

import hashlib

VALID_SHARE = 0.05


def split_of(name: str) -> str:
    """Assigns a clip to "train" (95 %) or "valid" by a hash, so that adding clips never moves another one.

    Args:
        name: What names its recording, or else the clip's id. Clips of one name are in one split.
    """
    number = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
    return "valid" if number / 2**64 < VALID_SHARE else "train"
