"""Assigns clips to the train and the valid split."""

import hashlib

VALID_SHARE = 0.05


def split_of(clip_id: str) -> str:
    """Assigns a clip to "train" (95 %) or "valid" by a hash of its id, so that adding clips never moves another one."""
    number = int.from_bytes(hashlib.blake2b(clip_id.encode(), digest_size=8).digest(), "big")
    return "valid" if number / 2**64 < VALID_SHARE else "train"
