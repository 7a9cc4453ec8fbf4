"""Audio in, examples out."""

from components.audio_example_gen.component import AudioExampleGen, AudioExampleGenConfig

__all__ = ["AudioExampleGen", "AudioExampleGenConfig"]
