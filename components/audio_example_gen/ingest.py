"""What AudioExampleGen does: list, write shards with Beam, publish them with their metadata, show them."""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from absl import logging
from etils import epath

from beam_jobs import audio, examples, runners, sources, storage
from beam_jobs.ingest import job as shard_audio
from beam_jobs.ingest import plan as shard_plan
from beam_jobs.ingest import records as shard_records
from components import base, errors, tensorboard, watching
from components.audio_example_gen import last_listing, quarantine

_SHOWN_CLIPS = 4
_MB = 2**20


def run(
    config: base.StageConfig, *, source: epath.Path, output: epath.Path, context: base.StageContext
) -> base.StageResult:
    """Writes the examples of `source` into `output`.

    Raises:
        UserError: if the source is malformed, not one clip of it can be decoded, too many cannot, or Beam does not
            accept its flags.
    """
    listing = _list(source, layout=config.layout)
    changes = last_listing.changes(listing, context=context)
    if changes:
        logging.warning("%s: %s; all shards are written anew", source, changes)
    last_listing.keep(context.work_dir, listing)
    records = _write(config, listing=listing, context=context)
    quarantined = [shard_records.quarantine_entry(clip, cause=c, message=m) for clip, c, m in listing.quarantined]
    quarantined += [entry for record in records for entry in record.quarantined]
    listed = len(listing.clips) + len(listing.quarantined)
    if sum(record.written for record in records) + len(quarantined) != listed:
        raise shard_records.UnaccountedClipsError(
            f"{listed} clips listed, {len(quarantined)} quarantined, the rest not written"
        )
    quarantine.write_report(context.work_dir, quarantined)
    quarantine.show(quarantined, context=context)
    _check_some_are_left(records, quarantined=quarantined, source=source)
    counts, report = quarantine.count(quarantined), context.work_dir / quarantine.REPORT
    quarantine.check_bound(counts, listed=listed, bound=config.max_quarantine, report=report)
    _publish(records, listing=listing, config=config, output=output, work=context.work_dir)
    quarantine.write_report(output, quarantined)
    info = examples.read_info(output)
    _summaries(info, quarantined=len(quarantined), left_out=listing.ignored, context=context)
    last_listing.keep(output, listing)
    return _result(info, quarantined=counts, listed=listed, changes=changes)


def _list(source: epath.Path, *, layout: str) -> sources.Listing:
    try:
        listing = sources.list_clips(source, layout=layout)
    except sources.SourceError as error:
        raise errors.UserError(str(error)) from error
    if not listing.clips and not listing.quarantined:
        raise errors.UserError(f"the lists in {source} name no clip; put the official ones there")
    refused = quarantine.causes(_refused(listing)) or "none"
    if not listing.clips:
        first = listing.quarantined[0]
        raise errors.UserError(
            f"no clip of the lists in {source} can be used: {refused}, the first, {first.clip.clip_id}, "
            f"because: {first.message}; files are to be named <ytid>.wav or <ytid>_<start>.wav (AudioSet), or as the "
            "list names them"
        )
    logging.info("%s: layout %s, %d clips, refused: %s", source, listing.layout, len(listing.clips), refused)
    for reason, count in listing.ignored.items():
        logging.warning("%s: left out %d %s", source, count, reason)
    return listing


def _refused(listing: sources.Listing) -> Counter[str]:
    return Counter(refused.cause for refused in listing.quarantined)


def _write(
    config: base.StageConfig, *, listing: sources.Listing, context: base.StageContext
) -> list[shard_records.ShardRecord]:
    work = context.work_dir
    try:
        workers = shard_plan.pinned_workers(work, runners.workers(config.beam_args))
        plan = shard_plan.plan_shards(
            listing.clips,
            sample_rate=config.sample_rate,
            shards=config.shards,
            workers=workers,
            shard_bytes=config.shard_mb * _MB,
        )
        with watching.watching(work, _look(listing, context=context)):
            return shard_audio.write_shards(
                plan,
                job=_job(config, listing=listing),
                work_dir=work,
                quarantined=_refused(listing),
                beam_args=config.beam_args,
            )
    except runners.OptionsError as error:
        raise errors.UserError(f"audio_example_gen.beam_args: {error}") from error


def _look(listing: sources.Listing, *, context: base.StageContext) -> Callable[[], None]:
    """Reports clips done and quarantined, by the records of the shards so far."""
    seen: dict[str, shard_records.ShardRecord] = {}
    total = len(listing.clips)

    def look() -> None:
        seen.update({record.file: record for record in shard_records.finished(context.work_dir, known=seen)})
        done = sum(record.listed for record in seen.values())
        left_out = len(listing.quarantined) + sum(len(record.quarantined) for record in seen.values())
        context.progress.update(min(total, done), total=total, unit="clips", quarantined=left_out)

    return look


def _job(config: base.StageConfig, *, listing: sources.Listing) -> shard_audio.Job:
    return shard_audio.Job(
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


def _check_some_are_left(
    records: Sequence[shard_records.ShardRecord], *, quarantined: Sequence[Mapping[str, str]], source: epath.Path
) -> None:
    if not any(record.clips for record in records):
        example, causes = quarantined[0], quarantine.causes(quarantine.count(quarantined))
        raise errors.UserError(
            f"no decodable clip in {source}: all {len(quarantined):,} were quarantined ({causes}), the first, "
            f"{example['path'] or example['clip_id']}, because: "
            f"{example['message']}; give a folder of audio"
        )


def _publish(
    records: Sequence[shard_records.ShardRecord],
    *,
    listing: sources.Listing,
    config: base.StageConfig,
    output: epath.Path,
    work: epath.Path,
) -> None:
    """Puts the shards into the output and writes the metadata beside them, which TFDS checks against the files."""
    # A shard whose clips are all quarantined is no file of the data set, so the files are numbered anew.
    kept = {split: [r for r in records if r.split == split and r.clips] for split in examples.SPLITS}
    kept = {split: members for split, members in kept.items() if members}
    (output / shard_records.DONE).mkdir()
    for split, members in kept.items():
        for i, record in enumerate(members):
            name = examples.file_name(split, shard=i, shards=len(members))
            published = {**dataclasses.asdict(record), "file": name}
            # Where the audio lay and what was left out is no part of what the file holds.
            for field in ("plan", "listed", "written", "written_ids", "quarantined"):
                del published[field]
            (output / shard_records.DONE / f"{name}.json").write_text(json.dumps(published, indent=1))
            storage.publish_file(work / record.file, output / name, size=record.bytes)
    examples.write_metadata(
        output,
        shard_lengths={split: [record.clips for record in members] for split, members in kept.items()},
        shard_bytes={split: sum(record.bytes for record in members) for split, members in kept.items()},
        label_names=listing.label_names,
        sample_rate=config.sample_rate,
        storage=config.storage,
        has_folds=any(clip.fold for clip in listing.clips),
        description=f"{sum(r.clips for r in records)} audio clips at {config.sample_rate} Hz, layout {listing.layout}",
    )


def _result(info: examples.ExamplesInfo, *, quarantined: Counter[str], listed: int, changes: str) -> base.StageResult:
    clips, shards, left_out = sum(info.splits.values()), sum(info.shards.values()), quarantined.total()
    splits = ", ".join(f"{count:,} {split}" for split, count in info.splits.items())
    left = f"{left_out:,} quarantined ({quarantine.causes(quarantined)})" if left_out else "none quarantined"
    since = f"; {changes}" if changes else ""
    return base.StageResult(
        summary=f"{clips:,} clips in {shards} shards ({splits}), {left}{since}",
        figures={
            "listed": listed,
            "clips": clips,
            "shards": shards,
            **{f"clips_{split}": count for split, count in info.splits.items()},
            "quarantined": left_out,
            **quarantine.to_figures(quarantined),
        },
    )


def _summaries(
    info: examples.ExamplesInfo, *, quarantined: int, left_out: Mapping[str, int], context: base.StageContext
) -> None:
    import tensorflow as tf

    counts = [*info.splits.items(), ("quarantined", quarantined), *left_out.items()]
    with tensorboard.writer(context.tensorboard_dir).as_default(step=0):
        tf.summary.text("clips", tensorboard.markdown_table(("what", "clips"), [(k, f"{v:,}") for k, v in counts]))
        for split, count in info.splits.items():
            tf.summary.scalar(f"clips/{split}", count)
        split = next(iter(info.splits))
        for example in examples.dataset(info.directory, split).take(_SHOWN_CLIPS).as_numpy_iterator():
            labels = ", ".join(info.label_names[i] for i in example["labels"])
            title = f"{example['clip_id'].decode()} {labels}".strip()
            tensorboard.clip(
                f"{split}/{example['clip_id'].decode()}", example["audio"], sample_rate=info.sample_rate, title=title
            )
