"""What the tests of AudioExampleGen share."""

from beam_jobs import examples
from components.audio_example_gen import AudioExampleGen, AudioExampleGenConfig


def audio_example_gen(**config):
    return AudioExampleGen(AudioExampleGenConfig(**config))


def read_clips(folder):
    """Returns all clips of a folder of examples, split by split."""
    clips = []
    for split in examples.read_info(folder).splits:
        clips += examples.dataset(folder, split).as_numpy_iterator()
    return clips
