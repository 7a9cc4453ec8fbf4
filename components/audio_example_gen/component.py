"""AudioExampleGen: decodes audio files into TFRecord examples and quarantines those that it cannot use."""

from collections.abc import Mapping
from typing import ClassVar

from etils import epath

from beam_jobs import storage
from components import base, file_errors, text
from components.audio_example_gen import quarantine
from components.audio_example_gen.config import AudioExampleGenConfig
from components.errors import UserError


class AudioExampleGen(base.Component[AudioExampleGenConfig]):
    """Writes the examples (see `beam_jobs.examples`), `quarantine.csv`, and the digest of each file in `_done/`."""

    inputs: ClassVar[Mapping[str, base.ArtifactType]] = {"audio": base.ArtifactType.AUDIO_CLIPS}
    optional_inputs: ClassVar[frozenset[str]] = frozenset({"audio"})
    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {"examples": base.ArtifactType.EXAMPLES}
    reports: ClassVar[frozenset[str]] = frozenset({quarantine.REPORT})
    Config = AudioExampleGenConfig
    executor = "components.audio_example_gen.executor"
    version: ClassVar[int] = 8
    # They decode, resample and encode the samples.
    libraries: ClassVar[tuple[str, ...]] = ("av", "soundfile", "soxr")
    shows: ClassVar[Mapping[base.Tab, str]] = {
        "text": "clips by split, quarantine",
        "images": "first clips, causes of quarantine",
        "audio": "first clips to hear",
        "scalars": "numbers of clips",
    }

    def check(self) -> None:
        source = self.config.source
        if source is None:
            return
        try:
            path = epath.Path(source)
            # It says, other than epath, that a folder above cannot be read.
            is_folder = storage.is_folder(source)
            exists = is_folder or path.exists()
            is_empty = is_folder and storage.is_empty(source)
        except Exception as error:  # Each remote file system raises errors of its own types.
            reason = file_errors.reason(error)
            raise UserError(
                f"audio_example_gen.source: {source} cannot be read ({reason}); check the path (--data)"
            ) from error
        if not exists:
            raise UserError(f"audio_example_gen.source: there is no folder {source}; check the path (--data)")
        if storage.is_no_file(source):
            raise UserError(
                f"audio_example_gen.source: {source} cannot be read, because {storage.NO_FILE}; give the folder that "
                "holds the audio, or a CSV manifest (--data)"
            )
        if not is_folder and path.suffix.lower() != ".csv":
            raise UserError(
                f"audio_example_gen.source: {source} is a file; give the folder that holds the audio, or a CSV "
                "manifest (--data)"
            )
        if is_empty:
            raise UserError(
                f"audio_example_gen.source: the folder {source} is empty; give one that holds audio (--data)"
            )

    def external_digests(self) -> Mapping[str, str]:
        if self.config.source is None:
            return {}
        # Imported here because only a run with a source needs the readers of the sources.
        from components.audio_example_gen import source_digest

        return {"source": source_digest.digest(self.config.source)}

    def unfinished(self, figures: base.Figures) -> str:
        transient = int(figures.get(quarantine.TRANSIENT, 0))
        if not transient:
            return ""
        return f"{text.plural(transient, 'clip')} of the last run timed out, crashed or could not be read"

    def check_reused(self, *, outputs: Mapping[str, epath.Path], figures: base.Figures) -> None:
        if self.config.max_quarantine is not None:
            quarantine.check_bound(
                quarantine.from_figures(figures),
                listed=int(figures["listed"]),
                bound=self.config.max_quarantine,
                report=outputs["examples"] / quarantine.REPORT,
            )
