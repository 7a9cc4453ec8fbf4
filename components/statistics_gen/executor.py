"""Runs StatisticsGen: computes the statistics with Beam and writes the summaries."""

from collections.abc import Callable, Mapping

from etils import epath

from beam_jobs import examples, runners, storage
from beam_jobs.statistics import example_statistics, job
from beam_jobs.statistics.example_statistics import ExampleStatistics
from components import base, text, watching
from components.errors import UserError
from components.statistics_gen import summaries
from components.statistics_gen.config import StatisticsGenConfig


def execute(
    config: StatisticsGenConfig,
    *,
    inputs: Mapping[str, epath.Path],
    outputs: Mapping[str, epath.Path],
    context: base.StageContext,
) -> base.StageResult:
    """Writes the statistics of the examples.

    Raises:
        UserError: Beam does not accept its flags, its workers run other code, or a job of an earlier run may still be
            running elsewhere.
    """
    info = examples.read_info(inputs["examples"])
    # The Beam job marks each file that it has read with an empty file in this folder.
    seen = context.work_dir / "seen"
    try:
        runners.check_free(context.work_dir)  # A job of an earlier run may still be writing its marks.
        storage.remove_tree(seen)  # An interrupted run leaves its marks, but the job reads all files again.
        seen.mkdir()
        with watching.watching(seen, _progress_reporter(info, seen=seen, context=context)):
            job.compute(
                info,
                output=str(outputs["statistics"] / example_statistics.FILE),
                seen=seen,
                work_dir=context.work_dir,
                beam_args=config.beam_args,
            )
    except runners.OptionsError as error:
        raise UserError(f"statistics_gen.beam_args: {error}") from error
    except (runners.OtherCodeError, runners.StillRunningError, runners.WorkerDiedError) as error:
        raise UserError(str(error)) from error
    statistics = example_statistics.read(outputs["statistics"])
    summaries.write(statistics, info=info, directory=context.tensorboard_dir, players=config.players)
    return _result(statistics)


def _progress_reporter(
    info: examples.ExamplesInfo, *, seen: epath.Path, context: base.StageContext
) -> Callable[[], None]:
    """Returns a function that reports the number of clips in the files that have been read."""
    clips_of_file = {}
    for split in info.splits:
        for path, clips in zip(info.files(split), info.shard_lengths[split], strict=True):
            clips_of_file[epath.Path(path).name] = clips
    total = sum(clips_of_file.values())

    def report() -> None:
        done = sum(clips_of_file[path.name] for path in seen.iterdir())
        context.progress.update(done, total=total, unit="clips")

    return report


def _result(statistics: ExampleStatistics) -> base.StageResult:
    splits = statistics["splits"].values()
    clips = sum(split["clips"] for split in splits)
    hours = sum(split["seconds"] for split in splits) / 3600
    level = sum(split["mean_level_dbfs"] * split["clips"] for split in splits) / clips
    silent = sum(split["silent_clips"] for split in splits)
    pairs = sum(entry["pairs"] for entry in statistics["near_duplicates"])
    classes = len(statistics["label_names"])
    summary = f"{hours:.2f} h, mean level {level:.1f} dBFS, {silent:,} silent, {classes} classes"
    if pairs:
        summary += f", {text.plural(pairs, 'near duplicate')} between splits"
    return base.StageResult(
        summary=summary,
        figures={
            "hours": round(hours, 4),
            "mean_level_dbfs": round(level, 2),
            "silent_clips": silent,
            "near_duplicates": pairs,
        },
    )
