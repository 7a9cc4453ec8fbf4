import numpy as np
import pytest
from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs.embedding import plan
from beam_jobs.examples import sampling
from beam_jobs.examples.info import ExamplesInfo


def info_of(**lengths):
    """Returns the description of examples that need not exist: split -> number of clips in each file."""
    return ExamplesInfo(
        directory=epath.Path("/nowhere"),
        splits={split: sum(files) for split, files in lengths.items()},
        shards={split: len(files) for split, files in lengths.items()},
        shard_lengths={split: tuple(files) for split, files in lengths.items()},
        label_names=(),
        sample_rate=16000,
        has_folds=False,
        storage="pcm",
    )


def clips_of(shards, info):
    """Returns (split, number of the clip) of each clip that is embedded, in order."""
    clips = []
    for shard in shards:
        files = info.files(shard.split)
        start = sum(info.shard_lengths[shard.split][: files.index(shard.examples)])
        numbers = range(start, start + shard.stored) if shard.numbers is None else shard.numbers
        assert len(numbers) == shard.clips
        assert all(start <= number < start + shard.stored for number in numbers)
        clips += [(shard.split, number) for number in numbers]
    return clips


LIMITS = st.none() | st.integers(1, 60)


@given(
    lengths=st.fixed_dictionaries(
        {"train": st.lists(st.integers(0, 9), min_size=1), "eval": st.lists(st.integers(0, 9), min_size=1)}
    ),
    first=LIMITS,
    second=LIMITS,
)
def test_each_embedder_gets_its_clips_once_and_the_lower_limit_a_part_of_them(lengths, first, second):
    info = info_of(train=lengths["train"], eval=lengths["eval"])
    shards = plan.plan_shards(info, {"a": first, "b": second})
    embedded = {name: clips_of([s for s in shards if s.embedder == name], info) for name in "ab"}
    for name, limit in {"a": first, "b": second}.items():
        assert embedded[name] == sorted(set(embedded[name]), key=lambda clip: (clip[0] == "eval", clip[1]))
        for split, clips in info.splits.items():
            expected = clips if limit is None else min(limit, clips)
            assert sum(clip[0] == split for clip in embedded[name]) == expected
    few, many = sorted(embedded.values(), key=len)
    if None in (first, second) or first != second:
        assert set(few) <= set(many)
    else:
        assert few == many
    for name in "ab":
        for split in info.splits:
            own = [s for s in shards if (s.embedder, s.split) == (name, split)]
            assert [s.shard for s in own] == list(range(len(own)))
            assert {s.shards for s in own} <= {len(own)}


@pytest.mark.parametrize("clips", [500, 200_000])
def test_the_sample_is_that_of_everyone_who_draws_as_many_clips(clips):
    info = info_of(train=[clips // 50] * 50)
    shards = plan.plan_shards(info, {"trained": 300, "baseline": 40})
    drawn = sampling.drawing_order(info, "train", count=300, seed=0)
    trained = [number for _, number in clips_of(shards[: sum(s.embedder == "trained" for s in shards)], info)]
    assert trained == np.sort(drawn[:300]).tolist()
    baseline = [number for _, number in clips_of([s for s in shards if s.embedder == "baseline"], info)]
    assert baseline == np.sort(drawn[:40]).tolist()


def test_files_have_the_names_of_published_datasets():
    shards = plan.plan_shards(info_of(train=[3, 0, 4], eval=[2]), {"a": None})
    assert [shard.file for shard in shards] == [
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
        "eval-00000-of-00001.parquet",
    ]
