"""Computes the statistics of each split of a set of examples, and the near duplicates between splits.

A Beam element is one file of examples. Each file gives one `Sums`, and the sums of a split are merged.
"""

import functools
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import tensorflow as tf
from apache_beam import pvalue
from etils import epath

from beam_jobs import elements, examples, runners, worker_code
from beam_jobs.audio import levels
from beam_jobs.examples import check
from beam_jobs.statistics import fingerprints, near_duplicates
from beam_jobs.statistics.example_statistics import ExampleStatistics, NearDuplicates
from beam_jobs.statistics.near_duplicates import CrossSplitFigures, SplitPair
from beam_jobs.statistics.sums import Sums

LISTED_DUPLICATES = 100
_KEYS = "keys"


def compute(
    info: examples.ExamplesInfo,
    *,
    output: str,
    seen: epath.PathLike | None = None,
    work_dir: epath.PathLike | None = None,
    beam_args: Sequence[str] = (),
) -> None:
    """Runs the Beam job over a folder of examples and writes the statistics as JSON.

    Args:
        info: The examples.
        output: Path of the JSON file, which holds an `ExampleStatistics` with the first `LISTED_DUPLICATES` pairs of
            near duplicates of every two splits.
        seen: A folder in which the job creates an empty file for each file of examples that it has read, with the
            same name; None creates no such files.
        work_dir: See `runners.run`; None for the folder of `output`.
        beam_args: See `runners.pipeline`.

    Raises:
        OptionsError, OtherCodeError, StillRunningError, WorkerDiedError: see `runners`.
        DamagedExamplesError: A file of the examples does not hold what was written.
    """
    pipeline = runners.pipeline(beam_args)
    build(pipeline, info, output=output, seen=seen)
    try:
        runners.run(pipeline, work_dir=work_dir or epath.Path(output).parent)
    except Exception as error:
        check.check_file_in(error, info)
        raise


def build(
    pipeline: beam.Pipeline, info: examples.ExamplesInfo, *, output: str, seen: epath.PathLike | None = None
) -> None:
    """Adds the job to a pipeline. See `compute` for the arguments."""
    files = [
        (split, path, clips)
        for split in info.splits
        for path, clips in zip(info.files(split), info.shard_lengths[split], strict=True)
    ]
    summarize = SummarizeFile(
        classes=len(info.label_names),
        sample_rate=info.sample_rate,
        storage=info.storage,
        seen=None if seen is None else str(seen),
    )
    write = functools.partial(_write, output=output, label_names=info.label_names, sample_rate=info.sample_rate)
    outputs = (
        pipeline
        | "Files" >> elements.Elements(files, code=worker_code.of_this_process(worker_code.OF_AUDIO))
        | "Summarize" >> beam.ParDo(summarize).with_outputs(_KEYS, main="sums")
    )
    sums = outputs["sums"] | "Merge" >> beam.CombinePerKey(Sums.merge_all)
    duplicates = outputs[_KEYS] | "Near duplicates" >> near_duplicates.CrossSplitPairs(listed=LISTED_DUPLICATES)
    _ = (sums, duplicates) | beam.Flatten() | "Gather" >> beam.combiners.ToDict() | "Write" >> beam.Map(write)


class SummarizeFile(beam.DoFn):
    """Sums one file of examples and fingerprints its clips.

    Takes `(split, path, number of clips)`. The main output is `(split, Sums)`. The output "keys" has the
    `near_duplicates.KeyedClips` of the file.

    Raises:
        DamagedExamplesError: A file does not hold what was written.
    """

    def __init__(self, *, classes: int, sample_rate: int, storage: str, seen: str | None):
        self._classes = classes
        self._sample_rate = sample_rate
        self._storage = storage
        self._seen = seen
        self._launching = worker_code.of_this_process(worker_code.OF_AUDIO)

    def setup(self) -> None:
        worker_code.check(self._launching)

    # Any, because Beam takes the type hint for the type of the main output alone.
    def process(self, file: tuple[str, str, int]) -> Iterator[Any]:
        split, path, clips = file
        try:
            yield from self._summarize(split, path, clips=clips)
        except tf.errors.OpError:  # It does not name the file.
            examples.check_file(path, clips=clips)
            raise

    def _summarize(self, split: str, path: str, *, clips: int) -> Iterator[Any]:
        sums = Sums.empty(classes=self._classes, sample_rate=self._sample_rate)
        keyed: list[tuple[str, list[int]]] = []
        for example in examples.read_file(path, storage=self._storage, clips=clips).as_numpy_iterator():
            audio = example["audio"]
            # Silent clips all sound the same, which is not a leak between splits, so they get no keys.
            is_silent = levels.level_dbfs(audio) < levels.SILENT_DBFS
            keys = [] if is_silent else fingerprints.fingerprint_keys(audio, sample_rate=self._sample_rate)
            sums.add(
                audio,
                labels=example["labels"],
                fold=int(example["fold"]),
                source=example["source"].decode(),
                codec=example.get("source_codec", b"").decode(),
                source_rate=int(example.get("source_rate", 0)),
                fingerprinted=len(keys) == fingerprints.KEYS,
            )
            keyed.append((example["clip_id"].decode(), keys))
        if self._seen is not None:
            epath.Path(self._seen, epath.Path(path).name).write_text("")
        yield pvalue.TaggedOutput(_KEYS, (split, keyed))
        yield split, sums


def _write(
    results: Mapping[str | SplitPair, Sums | CrossSplitFigures],
    *,
    output: str,
    label_names: Sequence[str],
    sample_rate: int,
) -> None:
    """Writes the JSON file.

    Args:
        results: The sums of each split, by its name, and the figures of each pair of splits, by their names.
        output: Path of the file.
        label_names: Display names of the classes in index order.
        sample_rate: Of the examples, in Hz.
    """
    splits = [split for split in examples.SPLITS if split in results and results[split].clips]
    statistics = ExampleStatistics(
        sample_rate=sample_rate,
        label_names=list(label_names),
        splits={split: results[split].to_json() for split in splits},
        near_duplicates=[
            _near_duplicates(results.get(tuple(sorted(pair))), pair) for pair in itertools.combinations(splits, 2)
        ],
    )
    epath.Path(output).write_text(json.dumps(statistics, indent=1))


def _near_duplicates(figures: CrossSplitFigures | None, splits: SplitPair) -> NearDuplicates:
    """Returns the entry of two splits.

    Args:
        figures: The figures of the two splits, which are in alphabetical order there; None if there are no pairs.
        splits: The two splits in the order of `examples.SPLITS`, which the entry has.
    """
    if figures is None:
        return NearDuplicates(splits=list(splits), pairs=0, clips=[0, 0], listed=[])
    is_swapped = splits != tuple(sorted(splits))
    return NearDuplicates(
        splits=list(splits),
        pairs=figures["pairs"],
        clips=[figures["clips"][split] for split in splits],
        listed=[[b, a, shared] if is_swapped else [a, b, shared] for a, b, shared in figures["listed"]],
    )
