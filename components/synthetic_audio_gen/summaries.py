"""What SyntheticAudioGen shows in TensorBoard: one clip of each class to play and see."""

from collections.abc import Mapping

from etils import epath

from components import tensorboard
from components.synthetic_audio_gen import corpus


def write(clips: Mapping[int, corpus.SyntheticClip], *, sample_rate: int, directory: epath.Path) -> None:
    """Writes clips as players and log-mel spectrograms.

    Args:
        clips: Class index -> a clip of that class.
        sample_rate: In Hz.
        directory: Where the event files go.
    """
    with tensorboard.writer(directory).as_default(step=0):
        for index, clip in sorted(clips.items()):
            name = corpus.CLASSES[index]
            tensorboard.clip(f"classes/{name}", clip.audio, sample_rate=sample_rate, title=name)
