"""What a set of examples sounds like, split by split: one Beam element a file, sums merged per split."""

import dataclasses
import functools
import json
from collections.abc import Iterable, Sequence

import apache_beam as beam
import numpy as np
from etils import epath

from beam_jobs import examples, log_mel, runners

SILENT_DBFS = -60.0
CLIPPED_SHARE = 0.001
_FLOOR_DBFS = -100.0
DURATION_EDGES_S = np.arange(0.0, 60.5, 0.5)
LEVEL_EDGES_DBFS = np.arange(_FLOOR_DBFS, 2.0, 2.0)


@dataclasses.dataclass
class Sums:
    """Sums over clips, which merge.

    Attributes:
        label_counts: int64 (classes,).
        durations, level_histogram: Counts per bin of the edges above; the last bin of durations takes all longer ones.
        mel, mel_squared, frames: Sums per band of the log-mel energies, float64 (80,), and the number of frames.
        clips: Number of clips.
        unlabelled: Of those, the ones without a label.
        silent: The ones whose level is below `SILENT_DBFS`.
        clipped: The ones with more than `CLIPPED_SHARE` of their samples at full scale.
        seconds, shortest, longest: Total, minimum and maximum duration.
        levels, loudest: Sum of the clips' levels, and the highest peak, in dBFS.
    """

    label_counts: np.ndarray
    durations: np.ndarray
    level_histogram: np.ndarray
    mel: np.ndarray
    mel_squared: np.ndarray
    frames: int = 0
    clips: int = 0
    unlabelled: int = 0
    silent: int = 0
    clipped: int = 0
    seconds: float = 0.0
    shortest: float = np.inf
    longest: float = 0.0
    levels: float = 0.0
    loudest: float = _FLOOR_DBFS

    @classmethod
    def empty(cls, classes: int) -> "Sums":
        """The sums over no clip."""
        return cls(
            label_counts=np.zeros(classes, np.int64),
            durations=np.zeros(DURATION_EDGES_S.size - 1, np.int64),
            level_histogram=np.zeros(LEVEL_EDGES_DBFS.size - 1, np.int64),
            mel=np.zeros(log_mel.BANDS),
            mel_squared=np.zeros(log_mel.BANDS),
        )

    def add(self, audio: np.ndarray, *, labels: Sequence[int], sample_rate: int) -> None:
        """Counts one clip in: int16 (samples,), its class indices, and the rate in Hz."""
        seconds, level, peak = audio.size / sample_rate, level_dbfs(audio), peak_dbfs(audio)
        self.clips += 1
        self.unlabelled += not len(labels)
        self.silent += level < SILENT_DBFS
        self.clipped += clipped_share(audio) > CLIPPED_SHARE
        self.seconds += seconds
        self.shortest, self.longest = min(self.shortest, seconds), max(self.longest, seconds)
        self.levels += level
        self.loudest = max(self.loudest, peak)
        np.add.at(self.label_counts, np.asarray(labels, np.int64), 1)
        self.durations += _bin(seconds, DURATION_EDGES_S)
        self.level_histogram += _bin(level, LEVEL_EDGES_DBFS)
        energies = log_mel.log_mel(audio, sample_rate=sample_rate).astype(np.float64)
        self.frames += len(energies)
        self.mel += energies.sum(axis=0)
        self.mel_squared += np.square(energies).sum(axis=0)

    def merge(self, other: "Sums") -> "Sums":
        """The sums over both sets of clips."""
        merged = {
            field.name: getattr(self, field.name) + getattr(other, field.name) for field in dataclasses.fields(self)
        }
        merged["shortest"] = min(self.shortest, other.shortest)
        merged["longest"] = max(self.longest, other.longest)
        merged["loudest"] = max(self.loudest, other.loudest)
        return Sums(**merged)

    def to_json(self) -> dict:
        """The figures of one split, as in `statistics.json`. Rounded, so that the order of merging does not show."""
        mean = self.mel / self.frames
        deviation = np.sqrt(np.maximum(0.0, self.mel_squared / self.frames - mean**2))
        return {
            "clips": self.clips,
            "unlabelled_clips": self.unlabelled,
            "seconds": round(self.seconds, 3),
            "mean_seconds": round(self.seconds / self.clips, 3),
            "min_seconds": round(self.shortest, 3),
            "max_seconds": round(self.longest, 3),
            "mean_level_dbfs": round(self.levels / self.clips, 3),
            "max_peak_dbfs": round(self.loudest, 3),
            "silent_clips": int(self.silent),
            "silent_share": round(self.silent / self.clips, 6),
            "clipped_clips": int(self.clipped),
            "clipped_share": round(self.clipped / self.clips, 6),
            "label_counts": self.label_counts.tolist(),
            "log_mel_mean": np.round(mean, 4).tolist(),
            "log_mel_std": np.round(deviation, 4).tolist(),
            "duration_histogram": {"edges": DURATION_EDGES_S.tolist(), "counts": self.durations.tolist()},
            "level_histogram": {"edges": LEVEL_EDGES_DBFS.tolist(), "counts": self.level_histogram.tolist()},
        }


def compute(info: examples.ExamplesInfo, *, output: str, beam_args: Sequence[str] = ()) -> None:
    """Runs the Beam job over a folder of examples and writes what `to_json` gives for each split.

    Args:
        info: The examples.
        output: Path of the JSON file: `sample_rate`, `label_names` and `splits`, a mapping of split to figures.
        beam_args: See `runners.pipeline`.
    """
    files = [(split, path) for split in info.splits for path in info.files(split)]
    summarise = functools.partial(_summarise, classes=len(info.label_names), sample_rate=info.sample_rate)
    write = functools.partial(_write, output=output, label_names=info.label_names, sample_rate=info.sample_rate)
    with runners.pipeline(beam_args) as pipeline:
        _ = (
            pipeline
            | "Files" >> beam.Create(files)
            | beam.Reshuffle()
            | "Summarise" >> beam.Map(summarise)
            | "Merge" >> beam.CombinePerKey(_merge)
            | "Gather" >> beam.combiners.ToDict()
            | "Write" >> beam.Map(write)
        )


def level_dbfs(audio: np.ndarray) -> float:
    """RMS level of int16 samples relative to a full-scale square wave, in dB, not below -100."""
    return _decibels(float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))))


def peak_dbfs(audio: np.ndarray) -> float:
    """Largest magnitude of int16 samples relative to full scale, in dB, not below -100."""
    return _decibels(float(np.abs(audio.astype(np.int32)).max()))


def clipped_share(audio: np.ndarray) -> float:
    """Share of int16 samples at either end of the range."""
    return float(np.mean((audio >= 32767) | (audio <= -32767)))


def _decibels(magnitude: float) -> float:
    return max(_FLOOR_DBFS, 20 * float(np.log10(max(magnitude, 1e-9) / 32768.0)))


def _bin(value: float, edges: np.ndarray) -> np.ndarray:
    return np.histogram([min(max(value, edges[0]), edges[-1])], edges)[0]


def _summarise(file: tuple[str, str], *, classes: int, sample_rate: int) -> tuple[str, Sums]:
    split, path = file
    sums = Sums.empty(classes)
    for example in examples.read_file(path).as_numpy_iterator():
        sums.add(example["audio"], labels=example["labels"], sample_rate=sample_rate)
    return split, sums


def _merge(parts: Iterable[Sums]) -> Sums:
    first, *rest = parts
    return functools.reduce(Sums.merge, rest, first)


def _write(splits: dict[str, Sums], *, output: str, label_names: Sequence[str], sample_rate: int) -> None:
    document = {
        "sample_rate": sample_rate,
        "label_names": list(label_names),
        "splits": {split: splits[split].to_json() for split in examples.SPLITS if split in splits},
    }
    epath.Path(output).write_text(json.dumps(document, indent=1))
