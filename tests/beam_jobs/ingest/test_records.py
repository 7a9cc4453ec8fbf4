import dataclasses

import pytest

from beam_jobs import sources
from beam_jobs.ingest import records
from beam_jobs.ingest.job import write_shards
from beam_jobs.ingest.plan import plan_shards
from tests import corpora
from tests.beam_jobs.ingest.ingest_source import SAMPLE_RATE, job_of


@pytest.fixture(scope="module")
def finished_shard(tmp_path_factory):
    """A shard of eight clips, one of which is quarantined, and its record."""
    folder = tmp_path_factory.mktemp("records")
    source = corpora.esc50(folder / "esc", clips=8)
    next((source / "audio").iterdir()).write_bytes(b"bad")
    listing = sources.list_clips(source)
    clips = [dataclasses.replace(clip, split="train") for clip in listing.clips]
    (shard,) = plan_shards(clips, sample_rate=SAMPLE_RATE, shards=1)
    (record,) = write_shards([shard], job=job_of(listing), work_dir=folder / "work")
    return shard, record


def test_a_record_accounts_for_every_clip(finished_shard):
    shard, record = finished_shard
    assert (record.listed, record.written, len(record.quarantined)) == (8, 7, 1)
    records.check_every_clip_accounted_for(shard, record)


@pytest.mark.parametrize(
    "damage",
    [
        lambda shard, record: (shard, dataclasses.replace(record, quarantined=())),
        lambda shard, record: (shard, dataclasses.replace(record, quarantined=record.quarantined * 2)),
        lambda shard, record: (shard, dataclasses.replace(record, written=8)),
        lambda shard, record: (shard, dataclasses.replace(record, written_ids=records.ids_digest(["a"] * 7))),
        lambda shard, record: (dataclasses.replace(shard, clips=shard.clips[1:]), record),
        lambda shard, record: (dataclasses.replace(shard, clips=shard.clips + shard.clips[:1]), record),
        lambda shard, record: (
            shard,
            dataclasses.replace(record, quarantined=({**record.quarantined[0], "clip_id": "another"},)),
        ),
    ],
    ids=["not quarantined", "quarantined twice", "too many", "other ids", "fewer clips", "more clips", "another clip"],
)
def test_a_record_that_does_not_account_for_every_clip_is_an_error(finished_shard, damage):
    shard, record = damage(*finished_shard)
    with pytest.raises(records.UnaccountedClipsError, match=f"does not add up .* remove the file {record.file} from"):
        records.check_every_clip_accounted_for(shard, record)
