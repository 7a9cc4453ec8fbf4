"""The sets of features that the Evaluator compares, and their names in `metrics.json`."""

import dataclasses
from collections.abc import Mapping

from beam_jobs.embedding.embedder import TRAINED
from beam_jobs.embedding.info import EmbedderInfo

BOTH = "both"
"""The set of features that concatenates all embeddings of an embedder."""
UNTRAINED = "untrained/"
"""The prefix of the sets that come from the encoders before training."""
MFCC = "mfcc_mean_std"
"""The set of features of the classical baseline."""

_ENCODERS = (TRAINED, "untrained")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """What one probe gets of each window.

    Attributes:
        name: Its name in `metrics.json`, e.g. "waveform", "untrained/both" or "mfcc_mean_std".
        embedder: The embedder that it comes from.
        columns: The embeddings that it concatenates, in this order.
    """

    name: str
    embedder: str
    columns: tuple[str, ...]


def sets_of(embedder: str, info: EmbedderInfo) -> list[FeatureSet]:
    """Returns the sets of features of an embedder: each of its embeddings, then all of them together.

    A baseline with a single embedding is one set with the name of the embedder. An encoder that is alone is two sets of
    the same features, so that `both` always exists.
    """
    columns = tuple(info.dims)
    if len(columns) == 1 and embedder not in _ENCODERS:
        return [FeatureSet(name=embedder, embedder=embedder, columns=columns)]
    prefix = "" if embedder == TRAINED else f"{embedder}/"
    single = [FeatureSet(name=prefix + column, embedder=embedder, columns=(column,)) for column in columns]
    return [*single, FeatureSet(name=prefix + BOTH, embedder=embedder, columns=columns)]


def sets_by_embedder(embedders: Mapping[str, EmbedderInfo]) -> dict[str, list[FeatureSet]]:
    """Returns the sets of features of all embedders, those of the exported model first."""
    order = sorted(embedders, key=lambda name: _ENCODERS.index(name) if name in _ENCODERS else len(_ENCODERS))
    return {name: sets_of(name, embedders[name]) for name in order}
