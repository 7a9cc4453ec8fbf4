"""Clips that exist by name alone: lists in AudioSet's format, files without content, labels, and sums of statistics.

A clip follows from its number. Labels are drawn independently by the class sizes of AudioSet's own lists, so two clips
share their labels less often than in AudioSet, which takes more memory.
"""

import base64
import hashlib
import itertools
import json
import pathlib
from collections import Counter
from collections.abc import Iterator

import numpy as np

from beam_jobs.sources.clips import Clip
from beam_jobs.sources.splits import split_of
from beam_jobs.statistics.sums import DURATION_EDGES_S, Sums

CLIP_S = 10
SAMPLE_RATE = 16000
CLIP_BYTES = 320_174
"""Of a stored clip, see `results/storage.json`."""
LISTS = {"balanced_train": 22_160, "eval": 20_371, "unbalanced_train": 2_041_789}
"""AudioSet's lists and their lengths."""

_CLASS_SIZES = pathlib.Path(__file__).parents[1] / "audioset_class_sizes.json"
_CHUNK = 10_000
_FRAMES = 1000
_CODEC = "mp4/aac"


def class_names() -> list[str]:
    """Returns a name for each of AudioSet's classes."""
    return [f"class {index}" for index in range(len(_shares()))]


def ytid(number: int) -> str:
    """Returns an id like YouTube's, of 11 characters."""
    digest = hashlib.blake2b(number.to_bytes(8, "big"), digest_size=9).digest()
    return base64.urlsafe_b64encode(digest)[:11].decode()


def start_s(number: int) -> int:
    """Returns where a clip begins in its recording, in seconds."""
    return number % 30 * CLIP_S


def file_names(clips: int) -> Iterator[str]:
    """Yields the name of the file of each clip, relative to the source."""
    for number in range(clips):
        yield f"audio/{ytid(number)}_{start_s(number)}.m4a"


def list_lengths(clips: int) -> dict[str, int]:
    """Returns how many of the clips each list has, in proportion to AudioSet's."""
    lengths = {name: max(1, clips * length // sum(LISTS.values())) for name, length in LISTS.items()}
    return {**lengths, "unbalanced_train": clips - lengths["balanced_train"] - lengths["eval"]}


def write_lists(folder: pathlib.Path, clips: int) -> None:
    """Writes the lists of the segments and of the classes, in the official format."""
    folder.mkdir(parents=True, exist_ok=True)
    labels, numbers = label_sets(clips), iter(range(clips))
    for name, length in list_lengths(clips).items():
        with open(folder / f"{name}_segments.csv", "w") as file:
            file.write("# made up\n# made up\n# YTID, start_seconds, end_seconds, positive_labels\n")
            for number in itertools.islice(numbers, length):
                start, mids = start_s(number), ",".join(map(_mid, next(labels)))
                file.write(f'{ytid(number)}, {start}.000, {start + CLIP_S}.000, "{mids}"\n')
    with open(folder / "class_labels_indices.csv", "w") as file:
        file.write("index,mid,display_name\n")
        file.writelines(f'{index},{_mid(index)},"{name}"\n' for index, name in enumerate(class_names()))


def write_files(folder: pathlib.Path, clips: int) -> None:
    """Writes an empty file for each clip."""
    (folder / "audio").mkdir(parents=True)
    for name in file_names(clips):
        open(folder / name, "wb").close()


def listed(clips: int) -> list[Clip]:
    """Returns the clips that the reader of AudioSet's lists should find."""
    names, bounds = class_names(), np.cumsum(list(list_lengths(clips).values()))
    made = []
    for number, (file, classes) in enumerate(zip(file_names(clips), label_sets(clips), strict=True)):
        clip_id = f"{ytid(number)}_{start_s(number)}"
        made.append(
            Clip(
                clip_id=clip_id,
                path=file,
                start_s=float(start_s(number)),
                end_s=float(start_s(number) + CLIP_S),
                trimmed=True,
                labels=tuple(names[index] for index in classes),
                split="eval" if bounds[0] <= number < bounds[1] else split_of(ytid(number)),
            )
        )
    return made


def label_sets(clips: int) -> Iterator[list[int]]:
    """Yields the classes of each clip, ascending; one at least."""
    rng, shares = np.random.default_rng(0), _shares()
    for chunk in range(0, clips, _CHUNK):
        drawn = rng.random((min(_CHUNK, clips - chunk), len(shares)), np.float32) < shares
        drawn[~drawn.any(axis=1), 0] = True
        clip, label = np.nonzero(drawn)
        yield from (part.tolist() for part in np.split(label, np.searchsorted(clip, np.arange(1, len(drawn)))))


def sums(clips: int, *, shard: int) -> Sums:
    """Returns the sums that the clips of a shard would give: full length, at random levels and spectra."""
    rng, shares = np.random.default_rng(shard), _shares()
    drawn = rng.random((clips, len(shares)), np.float32) < shares
    made = Sums.empty(classes=len(shares), sample_rate=SAMPLE_RATE)
    made.label_counts += drawn.sum(axis=0)
    for row in drawn:
        classes = np.nonzero(row)[0].tolist()
        made.label_pairs.update(itertools.combinations(classes, 2))
        made.unlabelled += not classes
        made.several_labels += len(classes) > 1
        if len(classes) == 1:
            made.fold_labels[0, classes[0]] += 1
    made.sources = Counter({(_CODEC, ".m4a", 44100): clips})
    made.durations[np.searchsorted(DURATION_EDGES_S, CLIP_S, side="right") - 1] = clips
    for histogram in (made.level_histogram, made.peak_histogram):
        histogram += np.bincount(rng.integers(10, histogram.size, clips), minlength=histogram.size)
    made.clips = made.fingerprinted = clips
    made.frames, made.blocks = clips * _FRAMES, clips * _FRAMES
    made.samples = clips * CLIP_S * SAMPLE_RATE
    made.shortest = made.longest = CLIP_S * SAMPLE_RATE
    made.levels, made.loudest = -20_000 * clips, 30_000
    made.mel += rng.integers(-10, 0, made.mel.size) * 2**16 * made.frames
    made.mel_squared += 2 * made.mel**2 // (2**16 * made.frames)
    return made


def _mid(index: int) -> str:
    return f"/m/{index:05x}"


def _shares() -> np.ndarray:
    """Returns the share of the clips that each class has, float32 (classes,)."""
    sizes = json.loads(_CLASS_SIZES.read_text())["balanced_train"]
    return np.array(sizes["class_sizes"], np.float32) / sizes["segments"]
