import itertools

from hypothesis import given
from hypothesis import strategies as st

from pipeline.serving.embedding import groups

SIZES = st.lists(st.one_of(st.integers(0, 2000), st.integers(groups.MOST_BYTES // 3, groups.MOST_BYTES * 2)))


@given(SIZES)
def test_every_clip_is_in_one_group_and_groups_are_as_large_as_they_may_be(sizes):
    bounds = list(groups.split(sizes))
    assert [number for first, stop in bounds for number in range(first, stop)] == list(range(len(sizes)))
    for first, stop in bounds:
        assert stop - first == 1 or (stop - first <= groups.MOST_CLIPS and sum(sizes[first:stop]) <= groups.MOST_BYTES)
    for (first, stop), _ in itertools.pairwise(bounds):
        is_full = stop - first == groups.MOST_CLIPS or sum(sizes[first : stop + 1]) > groups.MOST_BYTES
        assert is_full


@given(st.lists(st.just(1), min_size=1, max_size=1500))
def test_small_clips_are_counted(sizes):
    assert [stop - first for first, stop in groups.split(sizes)][:-1] == [512] * ((len(sizes) - 1) // 512)


@given(SIZES, st.data())
def test_groups_do_not_depend_on_what_follows(sizes, data):
    count = data.draw(st.integers(0, len(sizes)))
    whole, beginning = list(groups.split(sizes)), list(groups.split(sizes[:count]))
    assert beginning[:-1] == whole[: max(0, len(beginning) - 1)]
