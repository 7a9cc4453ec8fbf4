"""Reads clips from a folder of examples."""

from collections.abc import Iterator, Sequence

import numpy as np

from beam_jobs import audio, examples, sources
from beam_jobs.audio import pcm, resample
from beam_jobs.audio.sound import Sound
from beam_jobs.embedding.windows import ArraySound
from components import damaged_examples
from pipeline.serving.embedding.inputs import StoredClips

_CLIPS_AHEAD = 16


def read(
    groups: Sequence[StoredClips], *, sample_rate: int
) -> Iterator[tuple[sources.Clip, ArraySound | audio.DecodeError]]:
    """Yields every clip of consecutive groups in one file, with its id as `path`, and its sound.

    Args:
        groups: The clips.
        sample_rate: Rate to resample to, in Hz.

    Raises:
        DamagedFile: The file does not hold what was written.
    """
    file = groups[0].file
    info, count = file.info, sum(map(len, groups))
    records = examples.read_records(file.path, file.clips).skip(groups[0].first).take(count)
    clips = records.map(lambda record: examples.parse(record, storage=info.storage)).prefetch(_CLIPS_AHEAD)
    with damaged_examples.named([info.directory]):
        for clip in clips.as_numpy_iterator():
            clip_id = clip["clip_id"].decode()
            labels = tuple(info.label_names[index] for index in clip["labels"])
            count -= 1
            yield sources.Clip(clip_id=clip_id, path=clip_id, labels=labels), _sound(clip["audio"], info, sample_rate)
        if count:
            raise examples.DamagedExamplesError(file.path, f"does not hold its {file.clips:,} clips")


def _sound(samples: np.ndarray, info: examples.ExamplesInfo, sample_rate: int) -> ArraySound | audio.DecodeError:
    if not samples.size:
        return audio.DecodeError("too short", "no sample")
    if info.sample_rate != sample_rate:
        sound = Sound(samples=pcm.to_float(samples), rate=info.sample_rate, codec="")
        samples = resample.to_int16(sound, sample_rate=sample_rate)
        if not samples.size:
            return resample.shorter_than_a_sample(sample_rate)
    return ArraySound(samples)
