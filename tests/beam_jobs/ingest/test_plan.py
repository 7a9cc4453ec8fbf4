import collections
import itertools
import tempfile

import pytest
from etils import epath
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs import sources
from beam_jobs.ingest import plan

SPLITS = st.sampled_from(["train", "valid", "eval"])


@settings(deadline=None)
@given(clips=st.dictionaries(st.text(min_size=1), SPLITS, min_size=1, max_size=60), shards=st.integers(1, 20))
def test_every_clip_is_planned_once_whatever_the_order_of_the_list(clips, shards):
    listed = [sources.Clip(clip_id=i, path=i, split=split) for i, split in clips.items()]
    planned = plan.plan_shards(listed, sample_rate=16000, shards=shards)
    assert sorted((clip.clip_id, clip.split) for shard in planned for clip in shard.clips) == sorted(clips.items())
    assert all(shard.clips and {clip.split for clip in shard.clips} == {shard.split} for shard in planned)
    assert len({shard.file for shard in planned}) == len(planned)
    assert plan.plan_shards(listed[::-1], sample_rate=16000, shards=shards) == planned


def test_size_and_workers_decide_the_number_of_shards():
    clips = [sources.Clip(clip_id=str(i), path="", start_s=0.0, end_s=10.0) for i in range(8000)]
    assert len(plan.plan_shards(clips, sample_rate=16000)) == 19  # 8,000 clips of 320 kB, in shards of 128 MiB
    assert len(plan.plan_shards(clips, sample_rate=16000, shard_bytes=2**25)) == 76
    assert len(plan.plan_shards(clips, sample_rate=16000, workers=10)) == 80
    assert len(plan.plan_shards(clips[:5], sample_rate=16000)) == 5


@pytest.mark.parametrize("end_s", [3600.0, 1e10, 1e305])
def test_a_wrong_end_counts_as_an_hour(end_s):
    wrong = sources.Clip(clip_id="wrong", path="", start_s=0.0, end_s=end_s)
    clips = [sources.Clip(clip_id=str(i), path="", start_s=0.0, end_s=10.0) for i in range(8000)]
    assert (
        len(plan.plan_shards([*clips, wrong], sample_rate=16000)) == 20
    )  # 19 without it, see above; an hour is 115 MB.


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"train": 800, "valid": 50, "eval": 200}, {"train": 4, "valid": 1, "eval": 1}),
        ({"train": 800, "eval": 1600}, {"train": 4, "eval": 8}),
        ({"eval": 1000}, {"eval": 4}),
        ({"valid": 500, "eval": 1500}, {"valid": 1, "eval": 3}),
    ],
)
def test_the_given_number_of_shards_is_for_the_train_split_or_without_one_for_all_splits(sizes, expected):
    splits = [split for split, size in sizes.items() for _ in range(size)]
    clips = [sources.Clip(clip_id=str(i), path="", split=split) for i, split in enumerate(splits)]
    planned = plan.plan_shards(clips, sample_rate=16000, shards=4)
    assert collections.Counter(shard.split for shard in planned) == expected
    assert {shard.shards for shard in planned} == set(expected.values())


@given(train=st.integers(0, 300), valid=st.integers(0, 30), evaluation=st.integers(0, 100), workers=st.integers(1, 20))
def test_there_are_eight_shards_per_worker_unless_there_are_fewer_clips(train, valid, evaluation, workers):
    splits = ["train"] * train + ["valid"] * valid + ["eval"] * evaluation
    clips = [sources.Clip(clip_id=str(i), path="", split=split) for i, split in enumerate(splits)]
    planned = plan.plan_shards(clips, sample_rate=16000, workers=workers)
    assert min(len(clips), 8 * workers) <= len(planned) <= min(len(clips), 8 * workers + 2)


def test_records_of_a_tfds_dataset_keep_their_order():
    clips = [sources.Clip(clip_id=f"train/{i}", path="train", record=i) for i in range(100)]
    planned = plan.plan_shards(clips[::-1], sample_rate=16000, shards=7)
    assert [clip.record for shard in planned for clip in shard.clips] == list(range(100))


@given(st.lists(st.text(), min_size=1, max_size=5, unique=True))
def test_a_plan_survives_saving_and_loading(names):
    clips = [
        sources.Clip(clip_id=name, path=name, labels=tuple(names), start_s=0.1, end_s=1.0, trimmed=trimmed, fold=2)
        for name, trimmed in zip(names, itertools.cycle((None, True, False)), strict=False)
    ]
    with tempfile.TemporaryDirectory() as folder:
        work = epath.Path(folder)
        (shard,) = plan.plan_shards(clips, sample_rate=16000, shards=1)
        plan.save(work, [shard])
        assert plan.SavedPlan(work).load(shard.file) == shard


def test_the_number_of_workers_of_the_first_job_is_kept(tmp_path):
    work = epath.Path(tmp_path / "work")
    assert plan.pinned_workers(work, 4) == 4
    assert plan.pinned_workers(work, 2) == 4
