"""Publishes finished shards as one TFDS dataset."""

from collections.abc import Mapping, Sequence

from etils import epath

from beam_jobs import examples, manifest, sources, storage
from beam_jobs.examples import record_sizes
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

    published = {
        examples.file_name(split, shard=index, shards=len(members)): shard
        for split, members in by_split.items()
        for index, shard in enumerate(members)
    }
    _publish_files(published, work=work, output=output)
    sizes = {split: [record_sizes.unpack(shard.sizes) for shard in members] for split, members in by_split.items()}
    record_sizes.write(output, sizes)
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


def _publish_files(published: Mapping[str, records.ShardRecord], *, work: epath.Path, output: epath.Path) -> None:
    """Publishes the files that records name, each under its key, and then their manifest.

    Raises:
        UserError: A file is not there, or has another size than its record says.
    """
    files = [storage.Publication(work / shard.file, output / name, shard.bytes) for name, shard in published.items()]
    for file, size in zip(files, storage.publish_files(files), strict=True):
        if size != file.bytes:
            raise UserError(
                f"{file.source} has {size:,} of its {file.bytes:,} bytes, because another program has changed the work "
                "folder; the same command writes it again"
            )
    # Plans and quarantined clips do not describe the content of the files.
    recorded = {
        name: {"split": shard.split, "clips": shard.clips, "bytes": shard.bytes, "sha256": shard.sha256}
        for name, shard in published.items()
    }
    manifest.Manifest(files=recorded).write(output)
