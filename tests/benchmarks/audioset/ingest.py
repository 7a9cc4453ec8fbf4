"""Measures what reads and writes lists of clips, on this machine and in a bucket; see `tests.benchmarks.audioset`."""

import dataclasses
import pathlib

import numpy as np
from etils import epath

from beam_jobs import examples, finished_files, google_storage, sources, storage
from beam_jobs.examples import record_sizes
from beam_jobs.ingest import job, plan, records
from components.audio_example_gen import last_listing, listings, publishing, source_digest
from components.audio_example_gen.config import AudioExampleGenConfig
from pipeline import checksums
from pipeline import listings as published_listings
from tests.benchmarks import measuring
from tests.benchmarks.audioset import bucket, made_up
from tests.benchmarks.audioset.gauge import Gauge

WORKERS = 8
"""As many as deploy/dataflow/launch.sh starts at most."""

SOURCE_RATE = 44100
_THREADS = 2


def listing(folder: pathlib.Path, clips: int, gauge: Gauge) -> None:
    """Lists the clips of a folder on this machine, from its files and from its CSV lists."""
    source = folder / "source"
    made_up.write_lists(source, clips)
    made_up.write_files(source, clips)
    _list(str(source), clips, gauge, place="")


def listing_bucket(folder: pathlib.Path, clips: int, gauge: Gauge) -> None:
    """Lists a source in the bucket, whose lists are there and whose audio is only named."""
    made_up.write_lists(folder / "lists", clips)
    source = bucket.source(clips)
    storage.copy_tree(epath.Path(folder / "lists"), epath.Path(source))
    storage.is_folder(source)  # Lets the bucket make up the names.
    _list(source, clips, gauge, place=", bucket")


def _list(source: str, clips: int, gauge: Gauge, *, place: str) -> None:
    with gauge.measure(f"digest of the source{place}"):
        source_digest.digest(source)
    with gauge.measure(f"listing{place}"):
        found = listings.read(epath.Path(source), layout="auto")
    assert (found.layout, len(found.clips), len(found.quarantined)) == ("audioset", clips, 0)


def plan_here(folder: pathlib.Path, clips: int, gauge: Gauge) -> None:
    """Plans the shards and saves the plan and the listing on this machine."""
    _plan(epath.Path(folder / "work"), clips, gauge, place="")


def plan_bucket(folder: pathlib.Path, clips: int, gauge: Gauge) -> None:
    """Plans the shards and saves the plan and the listing in the bucket."""
    _plan(epath.Path("gs://bucket/work"), clips, gauge, place=", bucket")


def _plan(work: epath.Path, clips: int, gauge: Gauge, *, place: str) -> None:
    work.mkdir(parents=True, exist_ok=True)
    found = sources.Listing(root="made up", clips=made_up.listed(clips), layout="audioset")
    with gauge.measure(f"plan{place}") as row:
        last_listing.keep(work, found)
        shards = plan.plan_shards(found.clips, sample_rate=made_up.SAMPLE_RATE, workers=WORKERS)
        plan.save(work, shards)
        row["shards"] = len(shards)
    with gauge.measure(f"clips of a shard, read by a worker{place}"):
        loaded = plan.SavedPlan(work).load(shards[0].file)
    assert loaded == shards[0]


def sharding(folder: pathlib.Path, clips: int, gauge: Gauge) -> None:
    """Decodes a sample of clips and writes their shards on this machine. Many clips share one of 64 sound files."""
    _write_shards(epath.Path(folder / "work"), folder, clips, gauge, place="")


def sharding_bucket(folder: pathlib.Path, clips: int, gauge: Gauge) -> None:
    """The same into the bucket, from audio on this machine."""
    _write_shards(epath.Path("gs://bucket/work"), folder, clips, gauge, place=", bucket")


def _write_shards(work: epath.Path, folder: pathlib.Path, clips: int, gauge: Gauge, *, place: str) -> None:
    # Imported here because the other measurements write no sound.
    import soundfile

    (folder / "audio").mkdir()
    sounds = measuring.sounds(seconds=float(made_up.CLIP_S), sample_rate=SOURCE_RATE)
    for number, sound in enumerate(sounds):
        soundfile.write(folder / f"audio/{number}.flac", sound, SOURCE_RATE)
    made = [
        sources.Clip(clip_id=made_up.ytid(number), path=f"audio/{number % len(sounds)}.flac") for number in range(clips)
    ]
    sample_rate = made_up.SAMPLE_RATE
    shards = plan.plan_shards(made, sample_rate=sample_rate, shards=round(clips * 320_000 / plan.SHARD_BYTES) or 1)
    spec = job.Job(source=str(folder), label_names=(), sample_rate=sample_rate)
    flags = [f"--direct_num_workers={_THREADS}"]
    with gauge.measure(f"shards{place}", shards=len(shards)) as row:
        written = job.write_shards(shards, job=spec, work_dir=work, beam_args=flags)
        row["bytes_stored"] = sum(record.bytes for record in written)
    assert sum(record.written for record in written) == clips
    with gauge.measure(f"reading the shards once{place}", shards=len(shards)):
        read = [sum(1 for _ in examples.read_records(str(work / record.file), record.clips)) for record in written]
    assert sum(read) == clips


def publishing_here(folder: pathlib.Path, clips: int, gauge: Gauge) -> None:
    """Publishes finished shards on this machine."""
    _publish(epath.Path(folder), clips, gauge, place="")


def publishing_bucket(folder: pathlib.Path, clips: int, gauge: Gauge) -> None:
    """Publishes finished shards within the bucket."""
    _publish(epath.Path("gs://bucket/run"), clips, gauge, place=", bucket")


def _publish(root: epath.Path, clips: int, gauge: Gauge, *, place: str) -> None:
    """Does what the stage and the runner do when all shards are there. Each shard holds one short clip."""
    work, output = root / "work", root / "artifacts/AudioExampleGen/examples/1"
    for made in (work / storage.RECORDS_FOLDER, output):
        made.mkdir(parents=True, exist_ok=True)
    shards = _finished(work, clips)
    listed = sources.Listing(root="made up", clips=[], label_names=tuple(made_up.class_names()), layout="audioset")
    config = AudioExampleGenConfig(source="made up")
    with gauge.measure(f"publishing{place}", shards=len(shards)):
        finished = records.read_all(work, shards)
        records.remove_other_attempts(work, finished)
        publishing.publish(finished, listing=listed, config=config, work=work, output=output)
        checksums.write(output, staged=output)
        published_listings.describe(output)
        storage.remove_tree(work)
    assert len(finished) == len(shards)


def _finished(work: epath.Path, clips: int) -> list[plan.Shard]:
    """Writes the file and the record of each shard of the plan, and returns the shards without their clips."""
    named = plan.plan_shards(
        [sources.Clip(clip_id=str(number), path="", start_s=0.0, end_s=10.0) for number in range(clips)],
        sample_rate=made_up.SAMPLE_RATE,
        workers=WORKERS,
    )

    def finish(shard: plan.Shard) -> None:
        with storage.scratch(work / shard.file) as temporary:
            with examples.Writer(temporary) as writer:
                writer.write(examples.encode(audio=np.zeros(2, np.int16), clip_id=shard.file))
            records.commit(work, _record(shard, writer.digest), temporary=temporary)

    if finished_files.have_notes(work):
        google_storage.in_parallel(finish, named)
    else:
        for shard in named:
            finish(shard)
    return [dataclasses.replace(shard, clips=()) for shard in named]


def _record(shard: plan.Shard, digest: storage.FileDigest) -> records.ShardRecord:
    return records.ShardRecord(
        shard=shard.file,
        file=finished_files.name(shard.file, sha256=digest.sha256),
        split=shard.split,
        listed=len(shard.clips),
        written=len(shard.clips),
        written_ids=records.ids_digest([]),
        clips=len(shard.clips),
        bytes=digest.bytes,
        sha256=digest.sha256,
        sizes=record_sizes.pack([made_up.CLIP_BYTES] * len(shard.clips)),
        plan="",
    )
