"""The config of SyntheticAudioGen."""

import pydantic

from components import base


class SyntheticAudioGenConfig(base.StageConfig):
    """What to generate."""

    clips_train: int = pydantic.Field(
        600, ge=1, description="Number of clips for training; AudioExampleGen uses 5 % of them for validation."
    )
    clips_eval: int = pydantic.Field(200, ge=1, description="Number of clips of the eval split.")
    clip_seconds: float = pydantic.Field(10.0, ge=1.0, le=60.0, description="Length of a clip, in seconds.")
    sample_rate: int = pydantic.Field(16000, ge=16000, le=48000, description="Sample rate of the files, in Hz.")
    seed: int = pydantic.Field(
        0, ge=0, description="Seed of the random numbers. Another seed gives other clips of the same classes."
    )
