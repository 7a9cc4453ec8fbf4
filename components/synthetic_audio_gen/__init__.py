"""SyntheticAudioGen: generates a corpus of sound events, to try the pipeline without data."""

from components.synthetic_audio_gen.component import SyntheticAudioGen
from components.synthetic_audio_gen.config import SyntheticAudioGenConfig

__all__ = ["SyntheticAudioGen", "SyntheticAudioGenConfig"]
