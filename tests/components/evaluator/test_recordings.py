import numpy as np
import pytest

from components.evaluator.recordings import recording_numbers, recording_of


@pytest.mark.parametrize(
    ("clip_id", "recording"),
    [
        ("dog/1.wav", "dog/1.wav"),
        ("long.flac@60.00", "long.flac"),
        ("day.wav@3-7.5", "day.wav"),
        ("day.wav@0.25-1", "day.wav"),
        ("a@b.wav", "a@b.wav"),
        ("mic@2.wav@120.00", "mic@2.wav"),
        ("./day.wav@3-7.5", "day.wav"),
        ("night/.././day.wav", "day.wav"),
        ("night//day.wav", "night/day.wav"),
        ("gs://bucket/./day.wav@0-1", "gs://bucket/day.wav"),
        ("gs://bucket/day.wav", "gs://bucket/day.wav"),
        ("--PJHxphWEs_30", "--PJHxphWEs"),
        ("-0_r5nAK3io_12.5", "-0_r5nAK3io"),
        ("--PJHxphWEs_30@5.00", "--PJHxphWEs"),
        ("--PJHxphWEs_30.wav", "--PJHxphWEs_30.wav"),  # A file of a folder, named after what may be a video.
        ("1-100032-A-0", "1-100032-A-0"),
        ("recordings_of_rain_7", "recordings_of_rain_7"),
    ],
)
def test_a_part_is_known_as_one_of_its_recording(clip_id, recording):
    assert recording_of(clip_id) == recording


def test_recordings_are_numbered_in_the_order_in_which_they_come():
    ids = ["b.wav@0.00", "a.wav", "./b.wav@10.00", "--PJHxphWEs_30", "--PJHxphWEs_90"]
    np.testing.assert_array_equal(recording_numbers(ids), [0, 1, 0, 2, 2])
