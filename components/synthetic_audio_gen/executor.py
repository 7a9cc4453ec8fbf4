"""Runs SyntheticAudioGen: generates the clips and writes them with AudioSet's lists."""

import concurrent.futures
import functools
import os
from collections.abc import Mapping

from etils import epath

from components import base
from components.synthetic_audio_gen import corpus, summaries
from components.synthetic_audio_gen.config import SyntheticAudioGenConfig
from components.synthetic_audio_gen.corpus import Segment, SyntheticClip


def execute(
    config: SyntheticAudioGenConfig,
    *,
    inputs: Mapping[str, epath.Path],
    outputs: Mapping[str, epath.Path],
    context: base.StageContext,
) -> base.StageResult:
    """Writes the corpus."""
    del inputs
    folder = outputs["audio"]
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    counts = {"train": config.clips_train, "eval": config.clips_eval}
    total, done = sum(counts.values()), 0
    examples: dict[int, SyntheticClip] = {}  # Class index -> the first clip of that class alone.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for split, count in counts.items():
            segments = []
            write_clip = functools.partial(_write_clip, split=split, folder=folder / "audio", config=config)
            for clip in pool.map(write_clip, range(count)):
                end_s = clip.start_s + config.clip_seconds
                segments.append(Segment(ytid=clip.ytid, start_s=clip.start_s, end_s=end_s, classes=clip.classes))
                if len(clip.classes) == 1:
                    examples.setdefault(clip.classes[0], clip)
                done += 1
                context.progress.update(done, total=total, unit="clips")
            (folder / f"{split}_segments.csv").write_text(corpus.segments_csv(segments, seed=config.seed))
    (folder / "class_labels_indices.csv").write_text(corpus.labels_csv())
    summaries.write(examples, sample_rate=config.sample_rate, directory=context.tensorboard_dir)
    classes = len(corpus.CLASSES)
    return base.StageResult(
        summary=f"{total:,} clips of {classes} classes", figures={"clips": total, "classes": classes}
    )


def _write_clip(index: int, *, split: str, folder: epath.Path, config: SyntheticAudioGenConfig) -> SyntheticClip:
    clip = corpus.generate(split, index, seed=config.seed, seconds=config.clip_seconds, sample_rate=config.sample_rate)
    (folder / clip.file_name).write_bytes(corpus.encode_flac(clip.audio, sample_rate=config.sample_rate))
    return clip
