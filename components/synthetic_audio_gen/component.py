"""SyntheticAudioGen: writes a generated corpus in AudioSet's layout, which AudioExampleGen reads like real audio."""

from collections.abc import Mapping
from typing import ClassVar

from components import base
from components.synthetic_audio_gen.config import SyntheticAudioGenConfig


class SyntheticAudioGen(base.Component[SyntheticAudioGenConfig]):
    """Generates sound events whose classes differ only in their course over time (see `sounds`).

    Writes `train_segments.csv`, `eval_segments.csv`, `class_labels_indices.csv` and `audio/<id>_<start>.flac`.
    """

    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {"audio": base.ArtifactType.AUDIO_CLIPS}
    Config = SyntheticAudioGenConfig
    executor = "components.synthetic_audio_gen.executor"
    version: ClassVar[int] = 1
    # NumPy draws the sounds, and its generators may draw others in another release. soundfile writes FLAC.
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "soundfile")
    shows: ClassVar[Mapping[base.Tab, str]] = {"images": "a clip of each class to see", "audio": "and to hear"}
