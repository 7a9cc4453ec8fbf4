import numpy as np
import pytest
from etils import epath

from beam_jobs import examples
from beam_jobs.examples import record_sizes, tfrecord

RECORDS = [b"one", b"", b"three" * 300]


def test_the_sizes_that_are_written_are_those_that_are_read(tmp_path):
    path = epath.Path(tmp_path / "x.tfrecord")
    with examples.Writer(path) as writer:
        for record in RECORDS:
            writer.write(record)
    sizes = [len(record) for record in RECORDS]
    assert writer.sizes == tfrecord.sizes(path) == sizes
    assert record_sizes.unpack(record_sizes.pack(writer.sizes)).tolist() == sizes


@pytest.mark.parametrize(("cut", "place"), [(5, "at byte 0"), (14, "in the record at byte 0"), (22, "at byte 19")])
def test_where_a_file_was_cut_off_is_named(tmp_path, cut, place):
    path = epath.Path(tmp_path / "x.tfrecord")
    with examples.Writer(path) as writer:
        for record in RECORDS:
            writer.write(record)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=place):
        tfrecord.sizes(path)


def test_the_record_of_a_shard_of_clips_of_ten_seconds_stays_short():
    """On a bucket it comes with the file, if it has at most 7,000 characters."""
    sizes = 320_200 + np.random.default_rng(0).integers(0, 60, 430)
    assert len(record_sizes.pack(sizes)) < 1200
