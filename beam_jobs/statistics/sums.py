"""Statistics of a set of clips, as sums that can be merged.

All sums are integers, so the result does not depend on the order of merging.
"""

import copy
import dataclasses
import itertools
import os.path
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from beam_jobs.audio import levels, log_mel
from beam_jobs.audio.pcm import FULL_SCALE
from beam_jobs.statistics.example_statistics import SplitStatistics

CLIPPED_SHARE = 0.001
LABEL_PAIRS = 1000
"""Number of the most frequent pairs of classes that `Sums.to_json` lists."""
DURATION_EDGES_S = np.arange(0.0, 60.5, 0.5)
LEVEL_EDGES_DBFS = np.arange(levels.FLOOR_DBFS, 2.0, 2.0)
_MILLI = 1000
"""Levels are summed in thousandths of a dB."""
_FIXED = 2**16
"""Log-mel energies are summed in fixed point with 16 fractional bits; 2 million clips of 10 s stay below 2^56."""
_BLOCK_S = 0.01
_NOT_ADDED = ("sample_rate", "shortest", "longest", "loudest")
"""The fields of `Sums` that merging does not add up."""


@dataclasses.dataclass
class Sums:
    """Sums over a set of clips. `merge_all` merges them in any order, with `empty` as its neutral element.

    Attributes:
        sample_rate: Of every clip, in Hz.
        label_counts: Number of clips of each class, int64 (classes,).
        durations: Number of clips in each bin of `DURATION_EDGES_S`, int64; the last bin includes all longer clips.
        level_histogram: Number of clips in each bin of `LEVEL_EDGES_DBFS` by their RMS level, int64.
        peak_histogram: Number of clips in each bin of `LEVEL_EDGES_DBFS` by their peak, int64.
        mel: Sum of the log-mel energies of each band, int64 (80,), in fixed point.
        mel_squared: Sum of the squared log-mel energies of each band, int64 (80,), in fixed point.
        label_pairs: (class index, higher class index) -> number of clips that have both; only pairs that occur.
        sources: (codec or "", suffix of the source file, its sample rate in Hz or 0) -> number of clips.
        frames: Number of log-mel frames.
        clips: Number of clips.
        unlabelled: Number of clips without a label.
        several_labels: Number of clips with more than one label.
        fold_labels: (fold or 0, class) -> number of clips that have this label and no other.
        silent: Number of clips whose level is below `levels.SILENT_DBFS`.
        clipped: Number of clips that have more than `CLIPPED_SHARE` of their samples at full scale.
        fingerprinted: Number of clips with a full fingerprint. Only identical copies are found of the other clips.
        samples: Total length in samples.
        shortest: Minimum length in samples; None if there are no clips.
        longest: Maximum length in samples.
        blocks: Number of blocks of 10 ms.
        silent_blocks: Number of blocks whose level is below `levels.SILENT_DBFS`.
        levels: Sum of the clips' RMS levels, in thousandths of a dBFS.
        loudest: Largest magnitude of a sample, up to 32768.
    """

    sample_rate: int
    label_counts: np.ndarray
    durations: np.ndarray
    level_histogram: np.ndarray
    peak_histogram: np.ndarray
    mel: np.ndarray
    mel_squared: np.ndarray
    label_pairs: Counter[tuple[int, int]] = dataclasses.field(default_factory=Counter)
    fold_labels: Counter[tuple[int, int]] = dataclasses.field(default_factory=Counter)
    sources: Counter[tuple[str, str, int]] = dataclasses.field(default_factory=Counter)
    frames: int = 0
    clips: int = 0
    unlabelled: int = 0
    several_labels: int = 0
    silent: int = 0
    clipped: int = 0
    fingerprinted: int = 0
    samples: int = 0
    shortest: int | None = None
    longest: int = 0
    blocks: int = 0
    silent_blocks: int = 0
    levels: int = 0
    loudest: int = 0

    @classmethod
    def empty(cls, *, classes: int, sample_rate: int) -> "Sums":
        """Returns the sums over an empty set of clips."""
        return cls(
            sample_rate=sample_rate,
            label_counts=np.zeros(classes, np.int64),
            durations=np.zeros(DURATION_EDGES_S.size - 1, np.int64),
            level_histogram=np.zeros(LEVEL_EDGES_DBFS.size - 1, np.int64),
            peak_histogram=np.zeros(LEVEL_EDGES_DBFS.size - 1, np.int64),
            mel=np.zeros(log_mel.BANDS, np.int64),
            mel_squared=np.zeros(log_mel.BANDS, np.int64),
        )

    def add(
        self,
        audio: np.ndarray,
        *,
        labels: Sequence[int] = (),
        fold: int = 0,
        source: str = "",
        codec: str = "",
        source_rate: int = 0,
        fingerprinted: bool = False,
    ) -> None:
        """Adds one clip.

        Args:
            audio: int16 (samples,).
            labels: Class indices of the clip.
            fold: Its cross-validation fold; 0 if it has none.
            source: The file that the clip came from.
            codec: Encoding of that file; "" if unknown.
            source_rate: Sample rate of that file in Hz; 0 if unknown.
            fingerprinted: Whether the clip has a full fingerprint, see `fingerprints.fingerprint_keys`.
        """
        level, magnitude = levels.level_dbfs(audio), levels.peak(audio)
        self.clips += 1
        self.unlabelled += int(len(labels) == 0)
        self.silent += int(level < levels.SILENT_DBFS)
        self.clipped += int(levels.clipped_share(audio) > CLIPPED_SHARE)
        self.fingerprinted += int(fingerprinted)
        self.samples += audio.size
        self.shortest = _minimum(self.shortest, audio.size)
        self.longest = max(self.longest, audio.size)
        self.levels += round(level * _MILLI)
        self.loudest = max(self.loudest, magnitude)
        self.sources[codec, os.path.splitext(source)[1].lower(), source_rate] += 1
        classes = sorted({int(label) for label in labels})
        self.label_counts[classes] += 1
        self.several_labels += int(len(classes) > 1)
        if len(classes) == 1:
            self.fold_labels[fold, classes[0]] += 1
        self.label_pairs.update(itertools.combinations(classes, 2))
        self.durations[_bin(audio.size / self.sample_rate, DURATION_EDGES_S)] += 1
        self.level_histogram[_bin(level, LEVEL_EDGES_DBFS)] += 1
        self.peak_histogram[_bin(levels.to_dbfs(magnitude), LEVEL_EDGES_DBFS)] += 1
        self._add_blocks(audio)
        energies = log_mel.log_mel(audio, sample_rate=self.sample_rate).astype(np.float64)
        self.frames += len(energies)
        self.mel += np.rint(energies.sum(axis=0) * _FIXED).astype(np.int64)
        self.mel_squared += np.rint(np.square(energies).sum(axis=0) * _FIXED).astype(np.int64)

    def _add_blocks(self, audio: np.ndarray) -> None:
        length = min(audio.size, round(_BLOCK_S * self.sample_rate))
        blocks = audio[: audio.size // length * length].reshape(-1, length).astype(np.float32)
        self.blocks += len(blocks)
        silent = np.square(blocks).mean(axis=1) < (FULL_SCALE * 10 ** (levels.SILENT_DBFS / 20)) ** 2
        self.silent_blocks += int(np.count_nonzero(silent))

    @classmethod
    def merge_all(cls, parts: Iterable["Sums"]) -> "Sums":
        """Returns the sums over the clips of all parts, at least one; none is changed.

        AudioSet has tens of thousands of pairs of labels, and thousands of files. Merged two by two, every file would
        copy the pairs of all files before it.
        """
        remaining = iter(parts)
        first = next(remaining)
        merged = cls(**{field.name: copy.copy(getattr(first, field.name)) for field in dataclasses.fields(cls)})
        for part in remaining:
            merged._add_sums(part)
        return merged

    def _add_sums(self, other: "Sums") -> None:
        self.shortest = _minimum(self.shortest, other.shortest)
        self.longest = max(self.longest, other.longest)
        self.loudest = max(self.loudest, other.loudest)
        for field in dataclasses.fields(self):
            mine, others = getattr(self, field.name), getattr(other, field.name)
            if isinstance(mine, Counter):
                mine.update(others)
            elif field.name not in _NOT_ADDED:
                setattr(self, field.name, mine + others)

    def to_json(self) -> SplitStatistics:
        """Returns the figures of one split for `statistics.json`. There must be at least one clip."""
        mean = self.mel / _FIXED / self.frames
        deviation = np.sqrt(np.maximum(0.0, self.mel_squared / _FIXED / self.frames - mean**2))
        pairs = sorted(self.label_pairs.items(), key=lambda item: (-item[1], item[0]))
        return {
            "clips": self.clips,
            "unlabelled_clips": self.unlabelled,
            "seconds": round(self.samples / self.sample_rate, 3),
            "mean_seconds": round(self.samples / self.sample_rate / self.clips, 3),
            "min_seconds": round(self.shortest / self.sample_rate, 3),
            "max_seconds": round(self.longest / self.sample_rate, 3),
            "mean_level_dbfs": round(self.levels / _MILLI / self.clips, 3),
            "max_peak_dbfs": round(levels.to_dbfs(self.loudest), 3),
            "silent_clips": self.silent,
            "silent_share": round(self.silent / self.clips, 6),
            "silent_time_share": round(self.silent_blocks / self.blocks, 6),
            "clipped_clips": self.clipped,
            "clipped_share": round(self.clipped / self.clips, 6),
            "fingerprinted_clips": self.fingerprinted,
            "label_counts": self.label_counts.tolist(),
            "several_labels_clips": self.several_labels,
            "fold_labels": [[fold, label, count] for (fold, label), count in sorted(self.fold_labels.items())],
            "label_pairs_found": len(pairs),
            "label_pairs": [[*pair, count] for pair, count in pairs[:LABEL_PAIRS]],
            "source_formats": [
                {"codec": codec or None, "suffix": suffix, "sample_rate": rate or None, "clips": count}
                for (codec, suffix, rate), count in sorted(self.sources.items(), key=lambda item: (-item[1], item[0]))
            ],
            "log_mel_mean": np.round(mean, 4).tolist(),
            "log_mel_std": np.round(deviation, 4).tolist(),
            "duration_histogram": {"edges": DURATION_EDGES_S.tolist(), "counts": self.durations.tolist()},
            "level_histogram": {"edges": LEVEL_EDGES_DBFS.tolist(), "counts": self.level_histogram.tolist()},
            "peak_histogram": {"edges": LEVEL_EDGES_DBFS.tolist(), "counts": self.peak_histogram.tolist()},
        }


def _minimum(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)


def _bin(value: float, edges: np.ndarray) -> int:
    """Returns the index of the bin that holds a value; values beyond the edges go into the first or the last bin."""
    return int(np.clip(np.searchsorted(edges, value, side="right") - 1, 0, edges.size - 2))
