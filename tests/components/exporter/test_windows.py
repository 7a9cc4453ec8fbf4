import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from components.exporter import windows
from models import subclip_starts


def _positions(cut, length):
    lengths = tf.constant([length], tf.int64)
    count = int(cut.count(lengths)[0])
    return cut.positions(tf.range(count, dtype=tf.int64), tf.repeat(lengths, count)).numpy()


@given(length=st.integers(1, 200), crop=st.integers(1, 40))
def test_subclips_are_those_of_the_model(length, crop):
    stride = subclip_starts.half_crop(crop)
    starts = subclip_starts.subclip_starts(length, crop=crop, stride=stride)
    clip = np.arange(length)
    expected = [np.resize(clip[start : start + crop], crop) for start in starts]
    np.testing.assert_array_equal(_positions(windows.Subclips(crop=crop, stride=stride), length), expected)


@given(length=st.integers(1, 200), crop=st.integers(1, 60), hop=st.integers(1, 20))
def test_frames_are_centered_and_the_clip_is_mirrored_beyond_its_ends(length, crop, hop):
    positions = _positions(windows.Frames(crop=crop, hop=hop), length)
    padded = np.pad(np.arange(length), crop, mode="symmetric")
    centers = range(0, length, hop)
    np.testing.assert_array_equal(positions, [padded[crop + center - crop // 2 :][:crop] for center in centers])
