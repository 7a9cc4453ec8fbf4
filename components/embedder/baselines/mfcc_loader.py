"""Loads the MFCC baseline; apart from `mfcc` because it imports no TensorFlow."""

import dataclasses
import json
from typing import ClassVar

from beam_jobs import storage
from beam_jobs.embedding.embedder import Embedder, Framing


@dataclasses.dataclass(frozen=True)
class MfccLoader:
    """Loads mean and standard deviation of MFCCs.

    Args:
        framing: The windows to take.
    """

    name: ClassVar[str] = "mfcc_mean_std"

    framing: Framing

    def load(self) -> Embedder:
        # Imported here because the stages' components import this module, and TensorFlow takes seconds.
        from components.embedder.baselines.mfcc import MfccStatistics

        return MfccStatistics(self.framing)

    def digest(self) -> str:
        return storage.text_digest(json.dumps([self.name, dataclasses.asdict(self.framing)]))
