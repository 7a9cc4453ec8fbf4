"""What a set of examples sounds like, split by split: one Beam element a file, sums merged per split."""

import functools
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam import pvalue
from etils import epath

from beam_jobs import examples, runners
from beam_jobs.audio import levels
from beam_jobs.statistics import near_duplicates
from beam_jobs.statistics.sums import Sums

LISTED_DUPLICATES = 100
_KEYS = "keys"


def compute(
    info: examples.ExamplesInfo, *, output: str, seen: epath.PathLike | None = None, beam_args: Sequence[str] = ()
) -> None:
    """Runs the Beam job over a folder of examples and writes what it found as JSON.

    Args:
        info: The examples.
        output: Path of the JSON file: `sample_rate`; `label_names`; `splits`, a mapping of split to the figures of
            `Sums.to_json`; and `near_duplicates`, an entry for each two splits: their names as `splits`, how many
            `pairs` of clips sound the same (see `fingerprints`), how many `clips` of either split are in one, and the
            first `LISTED_DUPLICATES` pairs as `listed`, [clip id, clip id, shared keys].
        seen: Folder in which an empty file of its name tells that a file has been read; None for no such files.
        beam_args: See `runners.pipeline`.
    """
    with runners.pipeline(beam_args) as pipeline:
        build(pipeline, info, output=output, seen=seen)


def build(
    pipeline: beam.Pipeline, info: examples.ExamplesInfo, *, output: str, seen: epath.PathLike | None = None
) -> None:
    """Adds the job to a pipeline; see `compute`."""
    files = [(split, path) for split in info.splits for path in info.files(split)]
    summarise = Summarise(
        classes=len(info.label_names),
        sample_rate=info.sample_rate,
        storage=info.storage,
        seen=None if seen is None else str(seen),
    )
    write = functools.partial(_write, output=output, label_names=info.label_names, sample_rate=info.sample_rate)
    found = (
        pipeline
        | "Files" >> beam.Create(files)
        | beam.Reshuffle()
        | "Summarise" >> beam.ParDo(summarise).with_outputs(_KEYS, main="sums")
    )
    sums = found["sums"] | "Merge" >> beam.CombinePerKey(_merge)
    duplicates = found[_KEYS] | "Near duplicates" >> near_duplicates.CrossSplitPairs(listed=LISTED_DUPLICATES)
    _ = (sums, duplicates) | beam.Flatten() | "Gather" >> beam.combiners.ToDict() | "Write" >> beam.Map(write)


class Summarise(beam.DoFn):
    """(split, path of a file) -> (split, Sums), and as the output "keys" (key, (split, clip id)) of its clips."""

    def __init__(self, *, classes: int, sample_rate: int, storage: str, seen: str | None):
        self._classes = classes
        self._sample_rate = sample_rate
        self._storage = storage
        self._seen = seen

    def process(self, file: tuple[str, str]) -> Iterator[Any]:  # Beam takes this for the type of the main output
        split, path = file
        sums = Sums.empty(classes=self._classes, sample_rate=self._sample_rate)
        for example in examples.read_file(path, storage=self._storage).as_numpy_iterator():
            audio = example["audio"]
            # Silent clips are all alike, and no leak.
            is_silent = levels.level_dbfs(audio) < levels.SILENT_DBFS
            keys = [] if is_silent else near_duplicates.keys(audio, sample_rate=self._sample_rate)
            sums.add(
                audio,
                labels=example["labels"],
                source=example["source"].decode(),
                codec=example.get("source_codec", b"").decode(),
                source_rate=int(example.get("source_rate", 0)),
                fingerprinted=len(keys) == near_duplicates.KEYS,
            )
            for key in keys:
                yield pvalue.TaggedOutput(_KEYS, (key, (split, example["clip_id"].decode())))
        if self._seen is not None:
            epath.Path(self._seen, epath.Path(path).name).write_text("")
        yield split, sums


def _merge(parts: Iterable[Sums]) -> Sums:
    return functools.reduce(Sums.merge, parts)


def _write(
    found: Mapping[str | tuple[str, str], Sums | Mapping],
    *,
    output: str,
    label_names: Sequence[str],
    sample_rate: int,
) -> None:
    splits = [split for split in examples.SPLITS if split in found and found[split].clips]
    document = {
        "sample_rate": sample_rate,
        "label_names": list(label_names),
        "splits": {split: found[split].to_json() for split in splits},
        "near_duplicates": [_duplicates(found, pair) for pair in itertools.combinations(splits, 2)],
    }
    epath.Path(output).write_text(json.dumps(document, indent=1))


def _duplicates(found: Mapping[str | tuple[str, str], Sums | Mapping], splits: tuple[str, str]) -> dict:
    """The entry of two splits, in the order of `examples.SPLITS`; Beam's keys are in the order of the alphabet."""
    none = {"pairs": 0, "clips": dict.fromkeys(splits, 0), "listed": []}
    figures = found.get(tuple(sorted(splits)), none)
    turned = splits != tuple(sorted(splits))
    return {
        "splits": list(splits),
        "pairs": figures["pairs"],
        "clips": [figures["clips"][split] for split in splits],
        "listed": [[b, a, shared] if turned else [a, b, shared] for a, b, shared in figures["listed"]],
    }
