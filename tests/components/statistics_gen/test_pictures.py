import numpy as np
import pytest

from beam_jobs.statistics import sums
from components.statistics_gen import pictures
from tests import corpora


def statistics(labels_of_clips, *, classes):
    """Returns the statistics of a split of short clips with the given labels."""
    result = sums.Sums.empty(classes=classes, sample_rate=16000)
    for labels in labels_of_clips:
        result.add(np.rint(corpora.tone(seconds=0.05) * 32768).astype(np.int16), labels=labels)
    return result.to_json()


@pytest.mark.parametrize(("classes", "width"), [(1, 1000), (60, 1000), (61, 1300), (527, 1300)])
def test_class_balance_of_few_and_many_classes(classes, width):
    rng = np.random.default_rng(0)
    splits = {
        split: statistics([[int(rng.integers(classes))] for _ in range(40)], classes=classes)
        for split in ("train", "valid")
    }
    names = [f"a $long$ name of class {i} that is too long to be shown" for i in range(classes)]
    image = pictures.balance(splits, names=names)
    assert image.shape[2] == width
    assert image.std() > 10


def test_co_occurrence_depends_on_the_pairs_of_classes():
    names = [f"class {i}" for i in range(40)]

    def draw(labels_of_clips):
        return pictures.co_occurrence({"train": statistics(labels_of_clips, classes=40)}, names=names)

    one, other = draw([[0, 1], [2, 3]]), draw([[0, 2], [1, 3]])
    assert one.shape == other.shape
    assert not np.array_equal(one, other)
    assert draw([range(40)]).shape[1] > one.shape[1]


def test_pairs_that_are_too_rare_to_be_listed_are_gray_and_not_0():
    whole = statistics([[0, 1], [0, 1], [1, 2], [0, 2]], classes=3)
    some = {**whole, "label_pairs": whole["label_pairs"][:2]}
    complete = {**some, "label_pairs_found": 2}

    def gray(drawn):
        image = pictures.co_occurrence({"train": drawn}, names=["cat", "dog", "owl"])
        return np.mean((image[0, ..., :3] == 211).all(axis=-1))

    # A class has no share with itself. The title takes a little of the picture.
    assert gray(complete) == pytest.approx(gray(whole), rel=0.05)
    assert gray(some) == pytest.approx(gray(whole) * 5 / 3, rel=0.1)


def test_a_share_is_that_in_the_splits_that_list_the_pair():
    """The pair of cat and owl is too rare for the list of train, and not for that of the small split."""
    train = statistics([[0, 1], [0, 1], [0, 1], [0, 2], [1], [1]], classes=3)
    train["label_pairs"] = [pair for pair in train["label_pairs"] if pair[:2] == [0, 1]]
    assert train["label_pairs"], "it lists the most frequent pair"
    valid = statistics([[0, 2], [0], [0]], classes=3)
    shares = pictures._shares({"train": train, "valid": valid}, [0, 1, 2])
    nan = np.nan
    # Valid lists all of its pairs: its cats occur without a dog, and so does its owl. It has no dog to tell of owls.
    np.testing.assert_allclose(shares, [[nan, 3 / 7, 1 / 3], [3 / 5, nan, nan], [1, 0, nan]])
