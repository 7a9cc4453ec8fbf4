import collections
import itertools
import json
import random

import apache_beam as beam
import hypothesis
import pytest
from hypothesis import strategies

from beam_jobs.statistics import fingerprints, near_duplicates


def files(keyed, *, clips_each=7):
    """Returns (key, (split, clip id)) as the job gets them: by files, whose clips are of one split."""
    keys = collections.defaultdict(list)
    for key, member in keyed:
        keys[member].append(key)
    found = []
    for split in sorted({split for split, _ in keys}):
        clips = [(clip_id, of_clip) for (other, clip_id), of_clip in keys.items() if other == split]
        found += [(split, clips[start : start + clips_each]) for start in range(0, len(clips), clips_each)]
    return found


def find_pairs(keyed, folder, *, listed=10):
    """Runs `CrossSplitPairs` and returns its figures by pair of splits."""
    with beam.Pipeline("FnApiRunner") as pipeline:
        _ = (
            pipeline
            | beam.Create(files(keyed))
            | near_duplicates.CrossSplitPairs(listed=listed)
            | beam.Map(json.dumps)
            | beam.io.WriteToText(str(folder / "pairs"))
        )
    lines = [line for path in folder.glob("pairs*") for line in path.read_text().splitlines()]
    return {tuple(splits): figures for splits, figures in map(json.loads, lines)}


def brute_force(keyed):
    """Compares the keys of every two clips and returns the pairs that share enough, by pair of splits."""
    clips = {}
    for key, member in keyed:
        clips.setdefault(member, set()).add(key)
    pairs = {}
    for (a, a_keys), (b, b_keys) in itertools.combinations(sorted(clips.items()), 2):
        count = len(a_keys & b_keys)
        if a[0] != b[0] and count >= fingerprints.SHARED_KEYS:
            pairs.setdefault((a[0], b[0]), []).append([a[1], b[1], count])
    return pairs


def test_pairs_agree_with_brute_force(tmp_path):
    rng = random.Random(0)
    splits = ("train", "valid", "eval")
    keyed = [(key, (splits[i % 3], f"clip{i}")) for i in range(40) for key in rng.sample(range(30), 6)]
    expected = brute_force(keyed)
    figures = find_pairs(keyed, tmp_path, listed=5)
    assert figures.keys() == expected.keys()
    for splits, listed in expected.items():
        assert figures[splits]["pairs"] == len(listed)
        assert figures[splits]["listed"] == sorted(listed)[:5]
        assert figures[splits]["clips"] == {
            split: len({row[side] for row in listed}) for side, split in enumerate(splits)
        }


@pytest.mark.parametrize("members", [[], [("train", "a"), ("train", "b")], [("train", "a")]])
def test_clips_of_one_split_are_no_pair(tmp_path, members):
    keyed = [(key, member) for key in range(5) for member in members]
    assert find_pairs(keyed, tmp_path) == {}


@pytest.mark.parametrize(("train", "evaluated"), [(500, 500), (40, 3)])
def test_each_of_many_copies_is_counted_and_paired_with_the_first_of_the_other_split(tmp_path, train, evaluated):
    counts = {"train": train, "eval": evaluated}
    keyed = [(key, (split, f"{i:04d}")) for key in range(4) for split in counts for i in range(counts[split])]
    random.Random(1).shuffle(keyed)
    figures = find_pairs(keyed, tmp_path)["eval", "train"]
    first, first_evaluated = min(near_duplicates.BUCKET_CLIPS, train), min(near_duplicates.BUCKET_CLIPS, evaluated)
    assert figures["pairs"] == first * evaluated + first_evaluated * train - first * first_evaluated
    assert figures["clips"] == counts
    assert figures["listed"][0] == ["0000", "0000", 4]


def pairs_by_key(keyed):
    """Returns how many keys every two clips of different splits share, as one comparison for each key finds them."""
    buckets = collections.defaultdict(lambda: collections.defaultdict(list))
    for key, (split, clip_id) in keyed:
        buckets[key][split].append(clip_id)
    counts = collections.Counter()
    for bucket in buckets.values():
        for split, other in itertools.combinations(sorted(bucket), 2):
            for (i, a), (j, b) in itertools.product(enumerate(sorted(bucket[split])), enumerate(sorted(bucket[other]))):
                if min(i, j) < near_duplicates.BUCKET_CLIPS:
                    counts[(split, a), (other, b)] += 1
    return counts


KEYS = strategies.one_of(strategies.integers(-3, 3), strategies.integers(-(2**63), 2**63 - 1))
MEMBERS = strategies.tuples(strategies.sampled_from(("train", "valid", "eval")), strategies.text(max_size=3))


@hypothesis.given(
    keyed=strategies.lists(strategies.tuples(KEYS, MEMBERS), max_size=80), clips_each=strategies.integers(1, 9)
)
@hypothesis.example(keyed=[(key % 3, ("te"[key % 2], str(key))) for key in range(200)], clips_each=3)
def test_pairs_are_those_of_each_key_whatever_the_files(keyed, clips_each):
    parts = collections.defaultdict(list)
    for file in files(keyed, clips_each=clips_each):
        for part, encoded in near_duplicates._parts(file):
            parts[part].append(encoded)
    counts = collections.Counter()
    for part in parts.items():
        for pair, count in near_duplicates._pairs(part):
            counts[pair] += count
    assert counts == pairs_by_key(keyed)


def test_many_keys_cross_the_shuffle_in_few_bytes():
    """Beam's runner for one machine keeps them all in memory, with two million clips of AudioSet 48 million."""
    rng = random.Random(0)
    clips = [(f"clip{i:07d}", [rng.randrange(-(2**63), 2**63) for _ in range(fingerprints.KEYS)]) for i in range(400)]
    parts = list(near_duplicates._parts(("train", clips)))
    assert len(parts) <= near_duplicates._PARTS
    assert sum(len(encoded) for _, encoded in parts) < 40 * 400 * fingerprints.KEYS
