"""AudioExampleGen: decodes the audio of a folder into TFRecord examples, quarantining what cannot be used."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

import pydantic
from etils import epath

from components import base, errors


class AudioExampleGenConfig(base.StageConfig):
    """Which audio to read, and how to store it."""

    source: str | None = pydantic.Field(
        None, description="Folder of the audio, local or gs:// (--data sets it); null for the generated corpus."
    )
    layout: Literal["auto", "audioset", "esc50", "folder"] = pydantic.Field(
        "auto", description="How the folder is laid out; auto tells by the lists that are in it."
    )
    sample_rate: int = pydantic.Field(16000, ge=8000, le=48000, description="To resample to, in Hz.")
    max_clip_seconds: float | None = pydantic.Field(
        10.0,
        ge=1.0,
        description="Longer recordings are cut into equal clips of at most this length, in seconds; null keeps them "
        "whole. Segments of AudioSet are kept as they are listed.",
    )
    shards: int | None = pydantic.Field(
        None, ge=1, description="Files of the train split; null for about 128 MB each, at least 8."
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
        "beam_jobs.runners",
        "beam_jobs.shard_audio",
        "beam_jobs.sources",
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
        if not is_folder:
            raise errors.UserError(
                f"audio_example_gen.source: {folder} is a file; give the folder that holds the audio (--data)"
            )
        if is_empty:
            raise errors.UserError(
                f"audio_example_gen.source: the folder {folder} is empty; give one that holds audio (--data)"
            )

    def external_fingerprints(self) -> Mapping[str, str]:
        if self.config.source is None:
            return base.NOTHING
        digest = hashlib.sha256()
        for name, size, changed in sorted(_files(self.config.source)):
            digest.update(f"{name}\0{size}\0{changed}\n".encode())
        return {"source": digest.hexdigest()}

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


def _files(source: str) -> Iterator[tuple[str, int, int]]:
    """(relative name, size in bytes, time of change) of every file below a folder."""
    if "://" in source:
        root = epath.Path(source)
        for path in root.glob("**/*"):
            stat = path.stat()
            if not stat.is_directory:
                yield str(path.relative_to(root)), stat.length, int(stat.mtime)
        return
    for folder, _, names in os.walk(source):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.exists(path):  # not a dangling link
                stat = os.stat(path)
                yield os.path.relpath(path, source), stat.st_size, stat.st_mtime_ns
