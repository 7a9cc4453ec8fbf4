"""AudioExampleGen: decodes the audio of a folder into TFRecord examples, quarantining what cannot be used."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import pydantic
from etils import epath

from components import base, errors


def _share(value: object) -> object:
    """Lets a share be written as "5%", too."""
    if isinstance(value, str) and value.strip().endswith("%"):
        return float(value.strip()[:-1]) / 100
    return value


class AudioExampleGenConfig(base.StageConfig):
    """Which audio to read, and how to store it."""

    incidental: ClassVar[frozenset[str]] = frozenset({"beam_args", "max_quarantine"})

    source: str | None = pydantic.Field(
        None,
        description="Folder of the audio, or a CSV manifest of it, local or gs:// (--data sets it); null for the "
        "generated corpus.",
    )
    layout: Literal["auto", "tfds", "manifest", "esc50", "audioset", "folder"] = pydantic.Field(
        "auto", description="How the source is laid out; auto tells by the lists that are in it."
    )
    sample_rate: int = pydantic.Field(16000, ge=8000, le=48000, description="To resample to, in Hz.")
    max_clip_seconds: float | None = pydantic.Field(
        10.0,
        ge=1.0,
        description="Longer recordings are cut into equal clips of at most this length, in seconds; null keeps them "
        "whole. Segments of AudioSet are kept as they are listed.",
    )
    min_clip_seconds: float = pydantic.Field(
        0.1, ge=0.0, description="Shorter clips are quarantined as too short; clips shorter than a crop are repeated."
    )
    min_peak_dbfs: float | None = pydantic.Field(
        None,
        le=0.0,
        description="Clips whose largest sample is below this level are quarantined as silent; null for those of zeros "
        "alone.",
    )
    clip_timeout_seconds: float = pydantic.Field(
        60.0, gt=0.0, description="A clip that takes longer to decode is quarantined as timed out."
    )
    max_quarantine: Annotated[float | None, pydantic.BeforeValidator(_share)] = pydantic.Field(
        None,
        ge=0.0,
        le=1.0,
        description="Share of the listed clips (0.05 or 5%) above which the stage fails, once all are done; null for "
        "any, because of AudioSet's lists most people hold a part only.",
    )
    storage: Literal["pcm", "flac"] = pydantic.Field(
        "pcm",
        description="How samples are stored: pcm reads fastest; flac takes half to three quarters of the space, "
        "lossless.",
    )
    shard_mb: int = pydantic.Field(
        128,
        ge=1,
        description="Size of a file to aim at, in MiB, with recordings of unlisted length taken for 10 s; there are at "
        "least eight files for each worker.",
    )
    shards: int | None = pydantic.Field(
        None,
        ge=1,
        description="Files of the train split (of all splits where there is none), in place of what shard_mb asks for; "
        "null for that.",
    )
    beam_args: tuple[str, ...] = pydantic.Field(
        (), description="Beam's own flags, e.g. --runner=DataflowRunner; none for threads on this machine."
    )


class AudioExampleGen(base.Component):
    """Writes the examples of `beam_jobs.examples`, `quarantine.csv`, and a digest of each file in `_done/`."""

    inputs: ClassVar[Mapping[str, base.ArtifactType]] = {"audio": base.ArtifactType.AUDIO_CLIPS}
    optional_inputs: ClassVar[frozenset[str]] = frozenset({"audio"})
    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {"examples": base.ArtifactType.EXAMPLES}
    Config = AudioExampleGenConfig
    code: ClassVar[tuple[str, ...]] = (
        "beam_jobs.audio",
        "beam_jobs.examples",
        "beam_jobs.ingest",
        "beam_jobs.runners",
        "beam_jobs.sources",
        "beam_jobs.storage",
    )

    def check(self) -> None:
        if self.config.source is None:
            return
        folder = self.config.source
        try:
            path = epath.Path(folder)
            exists, is_folder = path.exists(), path.is_dir()
            is_empty = is_folder and not any(path.iterdir())
        except Exception as error:  # gs:// and the like have errors of their own
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise errors.UserError(
                f"audio_example_gen.source: {folder} cannot be read ({reason}); check the path (--data)"
            ) from error
        if not exists:
            raise errors.UserError(f"audio_example_gen.source: there is no folder {folder}; check the path (--data)")
        if not is_folder and path.suffix.lower() != ".csv":
            raise errors.UserError(
                f"audio_example_gen.source: {folder} is a file; give the folder that holds the audio, or a CSV "
                "manifest (--data)"
            )
        if is_empty:
            raise errors.UserError(
                f"audio_example_gen.source: the folder {folder} is empty; give one that holds audio (--data)"
            )

    def external_digests(self) -> Mapping[str, str]:
        if self.config.source is None:
            return base.NOTHING
        from components.audio_example_gen import source_digest

        return {"source": source_digest.digest(self.config.source)}

    def execute(
        self,
        *,
        inputs: Mapping[str, epath.Path],
        outputs: Mapping[str, epath.Path],
        context: base.StageContext,
    ) -> base.StageResult:
        from components.audio_example_gen import ingest

        source = epath.Path(self.config.source) if self.config.source is not None else inputs.get("audio")
        if source is None:
            raise errors.UserError("audio_example_gen.source is not set: say which folder holds the audio with --data")
        return ingest.run(self.config, source=source, output=outputs["examples"], context=context)

    def check_reused(self, *, outputs: Mapping[str, epath.Path], figures: Mapping[str, float | int | str]) -> None:
        if self.config.max_quarantine is None:
            return
        from components.audio_example_gen import quarantine

        counts, report = quarantine.of_figures(figures), outputs["examples"] / quarantine.REPORT
        quarantine.check_bound(counts, listed=int(figures["listed"]), bound=self.config.max_quarantine, report=report)
