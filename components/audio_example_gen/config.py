"""The config of AudioExampleGen."""

from typing import Annotated, ClassVar, Literal

import pydantic

from components import base, shares
from components.location import Location


def _parse_percent(value: object) -> object:
    """Converts a share in percent, such as "5%"; pydantic converts and checks everything else."""
    if isinstance(value, str) and value.strip().endswith("%"):
        return shares.parse(value)
    return value


class AudioExampleGenConfig(base.StageConfig):
    """Which audio to read and how to store it."""

    # The source is digested by what it holds, so that it may be spelled otherwise or moved.
    incidental: ClassVar[frozenset[str]] = frozenset({"beam_args", "max_quarantine", "source"})

    source: Location | None = pydantic.Field(
        None,
        description="Folder of the audio, or a CSV manifest that lists it; local or gs:// (--data sets it). null uses "
        "the generated corpus.",
    )
    layout: Literal["auto", "tfds", "manifest", "esc50", "audioset", "folder", "class_folders"] = pydantic.Field(
        "auto",
        description="Layout of the source. auto detects it from the lists in the source, and takes audio without lists "
        "for a folder without labels; class_folders takes the names of its sub-folders for classes.",
    )
    sample_rate: int = pydantic.Field(
        16000, ge=8000, le=48000, description="Sample rate of the stored clips, in Hz; all audio is resampled to it."
    )
    max_clip_seconds: float | None = pydantic.Field(
        10.0,
        ge=1.0,
        description="Maximum length of a clip, in seconds; 1 % more is padding of encoders. Longer recordings are cut "
        "into clips of equal length; null keeps them whole. Segments of AudioSet or a manifest keep their length.",
    )
    min_clip_seconds: float = pydantic.Field(
        0.1,
        ge=0.0,
        description="Minimum length of a clip, in seconds. Shorter clips are quarantined as too short. Other clips may "
        "be shorter than a training crop; trainer.short_clips says what happens to them.",
    )
    min_peak_dbfs: float | None = pydantic.Field(
        None,
        le=0.0,
        description="Minimum peak level of a clip, in dBFS. Clips below it, and such parts of longer recordings, are "
        "quarantined as silent; null quarantines only clips and parts of zeros.",
    )
    clip_timeout_seconds: float = pydantic.Field(
        60.0,
        gt=0.0,
        le=86400.0,
        description="Time limit for decoding a clip, in seconds, at most a day. Slower clips are quarantined as timed "
        "out.",
    )
    max_quarantine: Annotated[float | None, pydantic.BeforeValidator(_parse_percent)] = pydantic.Field(
        None,
        ge=0.0,
        le=1.0,
        description="Largest share of the listed clips that may be quarantined, e.g. 0.05 or 5%. Above it, the stage "
        "fails after it has decoded all clips. null sets no bound, because most copies of AudioSet lack many clips.",
    )
    storage: Literal["pcm", "flac"] = pydantic.Field(
        "pcm",
        description="How samples are stored, without loss: pcm is fastest to read, flac takes half to three quarters "
        "of the space.",
    )
    shard_mb: int = pydantic.Field(
        128,
        ge=1,
        description="Target size of a file, in MiB. A recording whose length is not listed counts as 10 s. Files are "
        "smaller if there would be fewer than eight per worker.",
    )
    shards: int | None = pydantic.Field(
        None,
        ge=1,
        description="Number of files of the train split, or of all splits if there is no train split. null derives it "
        "from shard_mb.",
    )
    beam_args: tuple[str, ...] = pydantic.Field(
        (), description="Beam's own flags, e.g. --runner=DataflowRunner. Without flags, the job runs in local threads."
    )
