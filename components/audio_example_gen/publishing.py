"""Publishes finished shards as one TFDS dataset."""

import json
from collections.abc import Sequence

from etils import epath

from beam_jobs import examples, sources, storage
from beam_jobs.ingest import records
from components.audio_example_gen.config import AudioExampleGenConfig
from components.errors import UserError


def publish(
    shards: Sequence[records.ShardRecord],
    *,
    listing: sources.Listing,
    config: AudioExampleGenConfig,
    work: epath.Path,
    output: epath.Path,
) -> None:
    """Puts the shards into the output folder, then writes TFDS's metadata, which TFDS checks against the files.

    Args:
        shards: Records of the shards. Those without a clip are not published, so the files get new numbers.
        listing: The clips of the source.
        config: How the clips are stored.
        work: The folder that holds the shards.
        output: An empty folder.
    """
    by_split: dict[str, list[records.ShardRecord]] = {}
    for split in examples.SPLITS:
        members = [shard for shard in shards if shard.split == split and shard.clips]
        if members:
            by_split[split] = members

    (output / storage.RECORDS_FOLDER).mkdir()
    for split, members in by_split.items():
        for index, shard in enumerate(members):
            name = examples.file_name(split, shard=index, shards=len(members))
            _write_record(output / storage.RECORDS_FOLDER / f"{name}.json", shard, file=name)
            _publish_file(shard, work=work, target=output / name)

    clips = sum(shard.clips for shard in shards)
    examples.write_metadata(
        output,
        shard_lengths={split: [shard.clips for shard in members] for split, members in by_split.items()},
        shard_bytes={split: sum(shard.bytes for shard in members) for split, members in by_split.items()},
        label_names=listing.label_names,
        sample_rate=config.sample_rate,
        storage=config.storage,
        has_folds=any(clip.fold for clip in listing.clips),
        description=f"{clips} audio clips at {config.sample_rate} Hz, layout {listing.layout}",
    )


def _publish_file(shard: records.ShardRecord, *, work: epath.Path, target: epath.Path) -> None:
    """Publishes the file that a record names.

    Raises:
        UserError: There is no such file, or it has another size than its record says.
    """
    file = work / shard.file
    try:
        storage.publish_file(file, target, size=shard.bytes)
        size = storage.size(target)
    except FileNotFoundError:
        size = 0
    if size != shard.bytes:
        raise UserError(
            f"{file} has {size:,} of its {shard.bytes:,} bytes, because another program has changed the work folder; "
            "the same command writes it again"
        )


def _write_record(path: epath.Path, shard: records.ShardRecord, *, file: str) -> None:
    """Records what a published file holds. Its plan and its quarantined clips do not describe its content."""
    record = {
        "file": file,
        "split": shard.split,
        "clips": shard.clips,
        "bytes": shard.bytes,
        "sha256": shard.sha256,
    }
    path.write_text(json.dumps(record, indent=1))
