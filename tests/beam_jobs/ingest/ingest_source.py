"""Ingests a source as the AudioExampleGen stage does, without the stage; also a program, so that a test can kill it."""

import sys

from beam_jobs import examples, sources
from beam_jobs.ingest import plan
from beam_jobs.ingest.job import Job, write_shards

SAMPLE_RATE = 16000


def job_of(listing, **options):
    return Job(source=listing.root, label_names=listing.label_names, sample_rate=SAMPLE_RATE, **options)


def ingest(source, work_dir, *, shards=3, beam_args=(), **options):
    """Lists a source and writes its shards.

    Args:
        source: The source.
        work_dir: The folder for the shards.
        shards: Number of shards of the train split.
        beam_args: Beam's flags.
        options: Further fields of `Job`.

    Returns:
        The records of the shards.
    """
    listing = sources.list_clips(source)
    planned = plan.plan_shards(listing.clips, sample_rate=SAMPLE_RATE, shards=shards)
    return write_shards(planned, job=job_of(listing, **options), work_dir=work_dir, beam_args=beam_args)


def read(work_dir, records):
    """Returns all examples of some shards."""
    return [
        example for record in records for example in examples.read_file(str(work_dir / record.file)).as_numpy_iterator()
    ]


if __name__ == "__main__":
    ingest(sys.argv[1], sys.argv[2])
