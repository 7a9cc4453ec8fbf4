"""SyntheticAudioGen: writes the generated corpus in AudioSet's own layout, so that the real ingest reads it."""

import concurrent.futures
import functools
import os
from collections.abc import Mapping
from typing import ClassVar

import pydantic
from etils import epath

from components import base

_SPLITS = ("train", "eval")


class SyntheticAudioGenConfig(base.StageConfig):
    """What to generate."""

    clips_train: int = pydantic.Field(600, ge=1, description="Clips to train (and validate) on.")
    clips_eval: int = pydantic.Field(200, ge=1, description="Clips of the evaluation split.")
    clip_seconds: float = pydantic.Field(10.0, ge=1.0, le=60.0, description="Length of a clip, in seconds.")
    sample_rate: int = pydantic.Field(16000, ge=16000, le=48000, description="Of the files written, in Hz.")
    seed: int = pydantic.Field(0, ge=0, description="Another seed gives another corpus of the same kind.")


class SyntheticAudioGen(base.Component):
    """Generates sound events whose classes differ in time only (see `sounds`).

    Writes `train_segments.csv`, `eval_segments.csv`, `class_labels_indices.csv` and `audio/<id>_<start>.flac`.
    """

    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {"audio": base.ArtifactType.AUDIO_CLIPS}
    Config = SyntheticAudioGenConfig

    def execute(
        self,
        *,
        inputs: Mapping[str, epath.Path],
        outputs: Mapping[str, epath.Path],
        context: base.StageContext,
    ) -> base.StageResult:
        from components.synthetic_audio_gen import corpus

        config = self.config
        folder = outputs["audio"]
        (folder / "audio").mkdir(parents=True, exist_ok=True)
        counts = {"train": config.clips_train, "eval": config.clips_eval}
        total, done, shown = sum(counts.values()), 0, {}
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for split in _SPLITS:
                rows = []
                write = functools.partial(_write_clip, split=split, folder=folder / "audio", config=config)
                for clip in pool.map(write, range(counts[split])):
                    rows.append((clip.ytid, clip.start_s, clip.start_s + config.clip_seconds, clip.classes))
                    if len(clip.classes) == 1:
                        shown.setdefault(clip.classes[0], clip)
                    done += 1
                    context.progress.update(done, total=total, unit="clips")
                (folder / f"{split}_segments.csv").write_text(corpus.segments_csv(rows, seed=config.seed))
        (folder / "class_labels_indices.csv").write_text(corpus.labels_csv())
        _summaries(shown, context=context, sample_rate=config.sample_rate)
        return base.StageResult(
            summary=f"{total:,} clips of {len(corpus.CLASSES)} classes",
            figures={"clips": total, "classes": len(corpus.CLASSES)},
        )


def _write_clip(index: int, *, split: str, folder: epath.Path, config: SyntheticAudioGenConfig):
    from components.synthetic_audio_gen import corpus

    clip = corpus.generate(split, index, seed=config.seed, seconds=config.clip_seconds, sample_rate=config.sample_rate)
    (folder / clip.file_name).write_bytes(corpus.flac(clip.audio, sample_rate=config.sample_rate))
    return clip


def _summaries(clips: Mapping[int, object], *, context: base.StageContext, sample_rate: int) -> None:
    """One clip of each class, to hear and to see."""
    from components import tensorboard
    from components.synthetic_audio_gen import corpus

    with tensorboard.writer(context.tensorboard_dir).as_default(step=0):
        for index, clip in sorted(clips.items()):
            name = corpus.CLASSES[index]
            tensorboard.clip(f"classes/{name}", clip.audio, sample_rate=sample_rate, title=name)
