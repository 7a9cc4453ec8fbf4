import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs import sources
from beam_jobs.ingest import parts

CLIP = sources.Clip(clip_id="a", path="a.wav")


def cut(clip=CLIP, *, samples, max_seconds=10.0):
    return parts.cut(clip, samples=samples, sample_rate=16000, max_seconds=max_seconds)


@pytest.mark.parametrize(
    ("seconds", "count"),
    [(0.1, 1), (10.0, 1), (10.008, 1), (10.031, 1), (10.1, 1), (10.11, 2), (20.06, 2), (20.21, 3), (3600.0, 357)],
)
def test_the_padding_of_an_encoder_is_no_reason_to_cut(seconds, count):
    assert len(cut(samples=round(16000 * seconds))) == count


@given(samples=st.integers(1, 10**8), max_seconds=st.floats(1, 1000))
def test_parts_are_as_few_as_possible_equal_and_complete(samples, max_seconds):
    found = cut(samples=samples, max_seconds=max_seconds)
    lengths = [part.end - part.start for part in found]
    longest = 1.01 * max_seconds * 16000
    assert max(lengths) - min(lengths) <= 1
    assert max(lengths) <= math.ceil(longest)
    assert (len(found) - 1) * longest < samples + 1
    assert [part.start for part in found] == [0, *(part.end for part in found[:-1])]
    assert found[-1].end == samples


def test_a_segment_and_a_clip_without_a_limit_are_never_cut():
    segment = sources.Clip(clip_id="a", path="a.wav", start_s=0.0, end_s=99.0)
    assert cut(segment, samples=99 * 16000) == cut(samples=99 * 16000, max_seconds=None) == [("a", 0, 99 * 16000)]


def test_an_id_says_where_its_part_begins():
    assert [part.clip_id for part in cut(samples=25 * 16000)] == ["a@0.00", "a@8.33", "a@16.67"]
