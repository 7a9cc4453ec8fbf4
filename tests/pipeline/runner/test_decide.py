from pipeline.runner import decide


def test_differences_are_described_in_words():
    before = {"steps": 3000, "model": {"width": 0.125, "name": "a"}, "gone": 1}
    after = {"steps": 100, "model": {"width": 0.25, "name": "a"}, "new": None}
    expected = ["gone 1 -> null", "model.width 0.125 -> 0.25", "new null -> null", "steps 3000 -> 100"]
    assert decide.differences(before, after) == expected
