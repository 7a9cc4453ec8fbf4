"""A generated corpus of sound events, for trying the pipeline without any data."""

from components.synthetic_audio_gen.component import SyntheticAudioGen, SyntheticAudioGenConfig

__all__ = ["SyntheticAudioGen", "SyntheticAudioGenConfig"]
