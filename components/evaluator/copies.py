"""Finds copies among clips: those of which an embedder stored the very same vectors.

The Evaluator has no audio. Equal audio has equal vectors, but for a last digit where an embedder computes it in another
batch; so clips are copies if the vectors of any embedder are equal.
"""

import hashlib
import itertools
from collections.abc import Mapping

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from beam_jobs.embedding.read import Embeddings
from components import text
from components.evaluator import vectors
from components.evaluator.clips import Clips

_MOST_ALIKE = 0.5
"""If more of an embedder's clips have equal vectors, it does not tell sounds apart, and is not asked."""


def find_copies(embeddings: Embeddings, clips: Mapping[str, Clips], *, reference: str) -> np.ndarray:
    """Numbers the contents of clips.

    Only digests are in memory, 8 bytes for a clip.

    Args:
        embeddings: The embeddings.
        clips: Embedder -> its clips.
        reference: The embedder that has all clips.

    Returns:
        int (clips,), equal for the copies among the clips of `reference`.
    """
    places = {clip_id: place for place, clip_id in enumerate(clips[reference].clip_ids.tolist())}
    copies = np.arange(len(places))
    for embedder, of_one in clips.items():
        groups, sizes = np.unique(_digests(embeddings, embedder, of_one), return_inverse=True, return_counts=True)[1:]
        if sizes.max(initial=0) <= _MOST_ALIKE * len(of_one):
            content = np.arange(len(copies)) + len(groups)  # Clips that the embedder lacks have no copies in it.
            content[[places[clip_id] for clip_id in of_one.clip_ids.tolist()]] = groups
            copies = joined(copies, content)
    return copies


def joined(numbers: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Joins groups: clips that share a number in one array or the other, also by way of further clips.

    Args:
        numbers: int (clips,).
        others: int (clips,).

    Returns:
        int (clips,), the number of each clip's group, in the order in which they come.
    """
    _, left = np.unique(numbers, return_inverse=True)
    _, right = np.unique(others, return_inverse=True)
    ones = np.ones(len(left), bool)
    shared = sparse.coo_matrix((ones, (left, right + left.max(initial=-1) + 1)), shape=(2 * len(left), 2 * len(left)))
    groups = csgraph.connected_components(shared, directed=False)[1][left]
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[place]


def note(copies: np.ndarray, folds: np.ndarray, *, made: bool) -> str | None:
    """Says how many clips have copies, or copies in other folds; None if none has.

    Args:
        copies: See `find_copies`.
        folds: int (clips,), the fold of each tested clip, or 0.
        made: Whether the folds were made, with all copies in one.
    """
    tested = folds > 0
    pairs = np.unique(np.stack([copies[tested], folds[tested]]), axis=1)
    in_several = np.bincount(pairs[0], minlength=len(copies)) > 1
    if in_several.any():
        clips = text.plural(int(in_several[copies[tested]].sum()), "clip")
        return f"{clips} with a copy in another fold, whose scores are too high: give all copies one fold"
    has_copy = np.bincount(copies[tested], minlength=len(copies)) > 1
    if made and has_copy.any():
        return f"{text.plural(int(has_copy[copies[tested]].sum()), 'clip')} with copies, which are in the same fold"
    return None


def _digests(embeddings: Embeddings, embedder: str, clips: Clips) -> np.ndarray:
    """Returns a digest of the vectors of each clip, uint64 (clips,)."""
    digests = np.zeros(len(clips), np.uint64)
    columns = tuple(embeddings.info.embedders[embedder].dims)
    current, digest = -1, hashlib.blake2b(digest_size=8)
    for block in vectors.blocks(embeddings, embedder, clips, chosen=np.ones(len(clips), bool), columns=columns):
        rows = np.concatenate([block.vectors[name] for name in columns], axis=1)
        bounds = np.flatnonzero(np.diff(block.clip_of_row, prepend=-1, append=-1))
        for first, end in itertools.pairwise(bounds):
            if block.clip_of_row[first] != current:  # A clip may go on in the next block.
                current, digest = block.clip_of_row[first], hashlib.blake2b(digest_size=8)
            digest.update(rows[first:end].tobytes())
            digests[current] = int.from_bytes(digest.digest(), "big")
    return digests
