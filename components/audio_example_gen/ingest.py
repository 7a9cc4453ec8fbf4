"""What AudioExampleGen does: list, write shards with Beam, publish them with their metadata, show them."""

import contextlib
import csv
import dataclasses
import io
import json
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from absl import logging
from etils import epath

from beam_jobs import examples, runners, shard_audio, sources
from components import base, errors, tensorboard

_SHOWN_CLIPS = 4
_SHOWN_ROWS = 100


def run(
    config: base.StageConfig, *, source: epath.Path, output: epath.Path, context: base.StageContext
) -> base.StageResult:
    """Writes the examples of `source` into `output`.

    Raises:
        UserError: if the source is malformed, not one clip of it can be decoded, or Beam does not accept its flags.
    """
    listing = _list(source, layout=config.layout)
    plan = shard_audio.plan_shards(listing.clips, sample_rate=config.sample_rate, shards=config.shards)
    try:
        with _watching(context.work_dir, total=len(listing.clips), progress=context.progress):
            records = shard_audio.write_shards(
                plan,
                source=source,
                work_dir=context.work_dir,
                label_names=listing.label_names,
                sample_rate=config.sample_rate,
                max_seconds=config.max_clip_seconds,
                beam_args=config.beam_args,
            )
    except runners.OptionsError as error:
        raise errors.UserError(f"audio_example_gen.beam_args: {error}") from error
    quarantined = [
        shard_audio.quarantine_entry(clip, cause="missing", message="no file for this row of the lists")
        for clip in listing.missing
    ]
    quarantined += [entry for record in records for entry in record.quarantined]
    if not any(record.clips for record in records):
        example = quarantined[0]
        raise errors.UserError(
            f"no decodable clip in {source}: all {len(quarantined):,} were quarantined ({_causes(quarantined)}), the "
            f"first, {example['path'] or example['clip_id']}, because: {example['message']}; "
            "give a folder of audio"
        )
    _publish(records, listing=listing, quarantined=quarantined, config=config, output=output, work=context.work_dir)
    info = examples.read_info(output)
    _summaries(info, quarantined=quarantined, left_out=listing.left_out, context=context)
    return _result(info, quarantined=quarantined)


def _list(source: epath.Path, *, layout: str) -> sources.Listing:
    try:
        listing = sources.list_clips(source, layout=layout)
    except sources.SourceError as error:
        raise errors.UserError(str(error)) from error
    if not listing.clips and not listing.missing:
        raise errors.UserError(f"the lists in {source} name no clip; put the official ones there")
    if not listing.clips:
        raise errors.UserError(
            f"no decodable clip in {source}: none of the {len(listing.missing):,} clips of its lists has a file; "
            "name the files <ytid>.wav or <ytid>_<start>.wav (AudioSet), or as meta/esc50.csv does (ESC-50)"
        )
    logging.info(
        "%s: layout %s, %d clips, %d without a file", source, listing.layout, len(listing.clips), len(listing.missing)
    )
    for reason, count in listing.left_out.items():
        logging.warning("%s: left out %d %s", source, count, reason)
    return listing


@contextlib.contextmanager
def _watching(work: epath.Path, *, total: int, progress: base.Progress) -> Iterator[None]:
    """Reports the finished shards of a running job, which may run on other machines."""
    stop = threading.Event()
    done: dict[str, int] = {}

    def look() -> None:
        for record in shard_audio.finished(work, known=done):
            done[record.file] = record.listed
        progress.update(min(total, sum(done.values())), total=total, unit="files")

    def watch() -> None:
        while not stop.wait(0.5):
            look()

    thread = threading.Thread(target=watch, name="shards", daemon=True)
    thread.start()
    try:
        yield
        look()
    finally:
        stop.set()
        thread.join()


def _publish(
    records: Sequence[shard_audio.ShardRecord],
    *,
    listing: sources.Listing,
    quarantined: Sequence[Mapping[str, str]],
    config: base.StageConfig,
    output: epath.Path,
    work: epath.Path,
) -> None:
    """Moves the shards into the output and writes the metadata beside them, which TFDS checks against the files."""
    # A shard whose clips are all quarantined is no file of the data set, so the files are numbered anew.
    kept = {split: [r for r in records if r.split == split and r.clips] for split in examples.SPLITS}
    kept = {split: members for split, members in kept.items() if members}
    (output / "quarantine.csv").write_text(_quarantine_csv(quarantined))
    (output / shard_audio.DONE).mkdir()
    for split, members in kept.items():
        for i, record in enumerate(members):
            name = examples.file_name(split, shard=i, shards=len(members))
            published = {**dataclasses.asdict(record), "file": name}
            # Where the audio lay and what was left out is no part of what the file holds.
            del published["plan"], published["listed"], published["quarantined"]
            (output / shard_audio.DONE / f"{name}.json").write_text(json.dumps(published, indent=1))
            _move(work / record.file, output / name)
    examples.write_metadata(
        output,
        shard_lengths={split: [record.clips for record in members] for split, members in kept.items()},
        shard_bytes={split: sum(record.bytes for record in members) for split, members in kept.items()},
        label_names=listing.label_names,
        sample_rate=config.sample_rate,
        has_folds=any(clip.fold for clip in listing.clips),
        description=f"{sum(r.clips for r in records)} audio clips at {config.sample_rate} Hz, layout {listing.layout}",
    )


def _move(source: epath.Path, target: epath.Path) -> None:
    if "://" in str(source) or "://" in str(target):
        source.copy(target)
        source.unlink()
    else:
        shutil.move(str(source), str(target))


def _quarantine_csv(quarantined: Sequence[Mapping[str, str]]) -> str:
    buffer = io.StringIO()
    table = csv.DictWriter(buffer, ["clip_id", "path", "cause", "message"], lineterminator="\n")
    table.writeheader()
    table.writerows(quarantined)
    return buffer.getvalue()


def _causes(quarantined: Sequence[Mapping[str, str]]) -> str:
    counts = Counter(entry["cause"] for entry in quarantined)
    return ", ".join(f"{count:,} {cause}" for cause, count in counts.most_common())


def _result(info: examples.ExamplesInfo, *, quarantined: Sequence[Mapping[str, str]]) -> base.StageResult:
    clips, shards = sum(info.splits.values()), sum(info.shards.values())
    splits = ", ".join(f"{count:,} {split}" for split, count in info.splits.items())
    left = f"{len(quarantined):,} quarantined ({_causes(quarantined)})" if quarantined else "none quarantined"
    counts = Counter(entry["cause"] for entry in quarantined)
    return base.StageResult(
        summary=f"{clips:,} clips in {shards} shards ({splits}), {left}",
        figures={
            "clips": clips,
            "shards": shards,
            **{f"clips_{split}": count for split, count in info.splits.items()},
            "quarantined": len(quarantined),
            **{f"quarantined_{cause}": count for cause, count in counts.items()},
        },
    )


def _summaries(
    info: examples.ExamplesInfo,
    *,
    quarantined: Sequence[Mapping[str, str]],
    left_out: Mapping[str, int],
    context: base.StageContext,
) -> None:
    import tensorflow as tf

    counts = [*info.splits.items(), ("quarantined", len(quarantined)), *left_out.items()]
    rows = [(e["clip_id"], e["path"], e["cause"], e["message"]) for e in quarantined[:_SHOWN_ROWS]]
    with tensorboard.writer(context.tensorboard_dir).as_default(step=0):
        tf.summary.text("clips", tensorboard.markdown_table(("what", "clips"), [(k, f"{v:,}") for k, v in counts]))
        if rows:
            title = f"The first {len(rows)} of {len(quarantined):,}\n\n"
            header = ("clip", "file", "cause", "message")
            tf.summary.text("quarantine", title + tensorboard.markdown_table(header, rows))
        for split, count in info.splits.items():
            tf.summary.scalar(f"clips/{split}", count)
        split = next(iter(info.splits))
        for example in examples.dataset(info.directory, split).take(_SHOWN_CLIPS).as_numpy_iterator():
            labels = ", ".join(info.label_names[i] for i in example["labels"])
            title = f"{example['clip_id'].decode()} {labels}".strip()
            tensorboard.clip(
                f"{split}/{example['clip_id'].decode()}", example["audio"], sample_rate=info.sample_rate, title=title
            )
