"""AudioExampleGen: turns audio files into examples."""

from components.audio_example_gen.component import AudioExampleGen
from components.audio_example_gen.config import AudioExampleGenConfig

__all__ = ["AudioExampleGen", "AudioExampleGenConfig"]
