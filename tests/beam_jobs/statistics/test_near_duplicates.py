import itertools
import json
import random

import apache_beam as beam
import pytest

from beam_jobs.statistics import fingerprints, near_duplicates


def find_pairs(keyed, folder, *, listed=10):
    """Runs `CrossSplitPairs` and returns its figures by pair of splits."""
    with beam.Pipeline("FnApiRunner") as pipeline:
        _ = (
            pipeline
            | beam.Create(keyed)
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


def test_a_key_of_a_thousand_clips_pairs_only_the_first_of_them(tmp_path):
    count = 500
    keyed = [(key, (split, f"{i:04d}")) for key in range(4) for split in ("train", "eval") for i in range(count)]
    random.Random(1).shuffle(keyed)
    figures = find_pairs(keyed, tmp_path)["eval", "train"]
    assert figures["pairs"] == near_duplicates.BUCKET_CLIPS**2
    assert figures["clips"] == {"eval": near_duplicates.BUCKET_CLIPS, "train": near_duplicates.BUCKET_CLIPS}
    assert figures["listed"][0] == ["0000", "0000", 4]
