"""Runs AudioExampleGen: lists the source, writes shards with Beam, and publishes them with their metadata."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from absl import logging
from etils import epath

from beam_jobs import audio, examples, runners, sources
from beam_jobs.ingest import job, plan, records
from components import base, text, watching
from components.audio_example_gen import last_listing, listings, publishing, quarantine, summaries
from components.audio_example_gen.config import AudioExampleGenConfig
from components.errors import UserError

_MIB = 2**20


def execute(
    config: AudioExampleGenConfig,
    *,
    inputs: Mapping[str, epath.Path],
    outputs: Mapping[str, epath.Path],
    context: base.StageContext,
) -> base.StageResult:
    """Writes the examples of the source.

    Raises:
        UserError: The source is malformed, none of its clips can be decoded, too many are quarantined, Beam does not
            accept its flags, or its workers run other code.
    """
    source = _source(config, inputs)
    listing = listings.read(source, layout=config.layout)
    listed = len(listing.clips) + len(listing.quarantined)
    changes = last_listing.changes(listing, context=context)
    if changes:
        logging.warning("%s: %s; all shards are written again", source, changes)
    last_listing.keep(context.work_dir, listing)

    # Decode.
    shards = _write_shards(config, listing=listing, context=context)
    quarantined = _quarantined(listing, shards)
    reported = [*quarantined, *(part for shard in shards for part in shard.quarantined_parts)]
    written = sum(shard.written for shard in shards)
    if written + len(quarantined) != listed:
        raise records.UnaccountedClipsError(
            f"{listed} clips are listed, but {written} are written and {len(quarantined)} are quarantined"
        )

    # Report the quarantine before the checks, so that the report exists if one of them fails.
    counts = quarantine.count(quarantined)
    quarantine.write_report(context.work_dir, reported)
    summaries.write_quarantine(quarantined, directory=context.tensorboard_dir)
    _check_not_all_quarantined(shards, quarantined=quarantined, source=source)
    quarantine.check_bound(
        counts, listed=listed, bound=config.max_quarantine, report=context.work_dir / quarantine.REPORT
    )

    # Publish.
    output = outputs["examples"]
    publishing.publish(shards, listing=listing, config=config, work=context.work_dir, output=output)
    quarantine.write_report(output, reported)
    info = examples.read_info(output)
    summaries.write_clips(
        info,
        listing=listing,
        quarantined=counts.total(),
        quarantined_parts=len(reported) - len(quarantined),
        directory=context.tensorboard_dir,
    )
    last_listing.keep(output, listing)
    shards = records.count_run(context.work_dir, shards)
    return _result(info, listing=listing, shards=shards, counts=counts, changes=changes)


def _source(config: AudioExampleGenConfig, inputs: Mapping[str, epath.Path]) -> epath.Path:
    if config.source is not None:
        return epath.Path(config.source)
    if "audio" in inputs:
        return inputs["audio"]
    raise UserError("audio_example_gen.source is not set: say which folder holds the audio with --data")


def _write_shards(
    config: AudioExampleGenConfig, *, listing: sources.Listing, context: base.StageContext
) -> list[records.ShardRecord]:
    """Runs the Beam job, which skips the shards that an interrupted job has left in the work folder."""
    work = context.work_dir
    try:
        planned = plan.plan_shards(
            listing.clips,
            sample_rate=config.sample_rate,
            shards=config.shards,
            workers=plan.pinned_workers(work, runners.workers(config.beam_args)),
            shard_bytes=config.shard_mb * _MIB,
        )
        with watching.watching(work, _progress_reporter(listing, context=context)):
            return job.write_shards(
                planned,
                job=_job(config, listing=listing),
                work_dir=work,
                quarantined=listings.count_quarantined(listing),
                beam_args=config.beam_args,
            )
    except runners.OptionsError as error:
        raise UserError(f"audio_example_gen.beam_args: {error}") from error
    except (runners.OtherCodeError, runners.StillRunningError, runners.WorkerDiedError) as error:
        raise UserError(str(error)) from error


def _job(config: AudioExampleGenConfig, *, listing: sources.Listing) -> job.Job:
    return job.Job(
        source=listing.root,
        label_names=listing.label_names,
        sample_rate=config.sample_rate,
        max_seconds=config.max_clip_seconds,
        rules=audio.Rules(
            min_seconds=config.min_clip_seconds,
            min_peak_dbfs=config.min_peak_dbfs,
            timeout_s=config.clip_timeout_seconds,
        ),
        storage=config.storage,
    )


def _progress_reporter(listing: sources.Listing, *, context: base.StageContext) -> Callable[[], None]:
    """Returns a function that reports the clips of the finished shards, and how many of them are quarantined."""
    shards: dict[str, records.ShardRecord] = {}
    total = len(listing.clips)

    def report() -> None:
        # A shard with failures that may pass is written again by this run, so its record is read each time.
        settled = {name for name, shard in shards.items() if not shard.to_try_again}
        for shard in records.finished(context.work_dir, known=settled):
            shards[shard.shard] = shard
        done = sum(shard.listed for shard in shards.values())
        quarantined = len(listing.quarantined) + sum(len(shard.quarantined) for shard in shards.values())
        context.progress.update(min(total, done), total=total, unit="clips", quarantined=quarantined)

    return report


def _quarantined(listing: sources.Listing, shards: Sequence[records.ShardRecord]) -> list[Mapping[str, str]]:
    """Returns the entries of all quarantined clips: first those of the listing, then those of the shards."""
    entries = [
        records.quarantine_entry(clip, cause=cause, message=message) for clip, cause, message in listing.quarantined
    ]
    for shard in shards:
        entries += shard.quarantined
    return entries


def _check_not_all_quarantined(
    shards: Sequence[records.ShardRecord], *, quarantined: Sequence[Mapping[str, str]], source: epath.Path
) -> None:
    if any(shard.clips for shard in shards):
        return
    first, causes = quarantined[0], quarantine.describe(quarantine.count(quarantined))
    raise UserError(
        f"no decodable clip in {source}: all {len(quarantined):,} are quarantined ({causes}), e.g. "
        f"{first['path'] or first['clip_id']}: {first['message']}; give a folder of audio"
    )


def _result(
    info: examples.ExamplesInfo,
    *,
    listing: sources.Listing,
    shards: Sequence[records.ShardRecord],
    counts: Counter[str],
    changes: str,
) -> base.StageResult:
    clips, files = sum(info.splits.values()), sum(info.shards.values())
    listed = len(listing.clips) + len(listing.quarantined)
    figures: dict[str, float | int | str] = {"listed": listed, "clips": clips, "shards": files}
    for split, count in info.splits.items():
        figures[f"clips_{split}"] = count
    figures["quarantined"] = counts.total()
    figures.update(quarantine.to_figures(counts))
    parts = sum(len(shard.quarantined_parts) for shard in shards)
    figures["silent_parts"] = parts
    to_try_again = sum(shard.to_try_again for shard in shards)
    given_up = sum(shard.transient for shard in shards) - to_try_again
    figures[quarantine.TRANSIENT] = to_try_again

    splits = ", ".join(f"{count:,} {split}" for split, count in info.splits.items())
    summary = f"{text.plural(clips, 'clip')} in {text.plural(files, 'shard')} ({splits}), "
    if counts:
        summary += f"{counts.total():,} quarantined ({quarantine.describe(counts)})"
    else:
        summary += "none quarantined"
    if parts:
        summary += f"; {text.plural(parts, 'silent part')} of longer recordings quarantined, too"
    if to_try_again:
        summary += f"; the next run tries {to_try_again:,} of them again"
    if given_up:
        them = "it" if given_up == 1 else "them"
        summary += f"; {given_up:,} failed in {records.MAX_RUNS} runs, and only --force tries {them} again"
    if changes:
        summary += f"; {changes}"
    if listing.ignored:
        summary += f"; left out {sources.describe(listing.ignored)}"
    if listing.no_labels:
        summary += f"; {listing.no_labels}, so no probe will run"
    return base.StageResult(summary=summary, figures=figures)
