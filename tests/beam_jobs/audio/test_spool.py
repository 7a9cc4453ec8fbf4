import resource

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs import audio
from beam_jobs.audio import spool


@given(sizes=st.lists(st.integers(0, 50), max_size=8), start=st.integers(0, 400), length=st.integers(0, 400))
@pytest.mark.parametrize("bytes_in_memory", [16, 2**20])
def test_it_reads_back_what_was_added(sizes, start, length, bytes_in_memory):
    samples = np.arange(sum(sizes), dtype=np.int16)
    with pytest.MonkeyPatch.context() as patch, spool_of(patch, bytes_in_memory) as held:
        held.append(np.full(30, 7, np.int16))
        held.clear()
        for part in np.split(samples, np.cumsum(sizes)):
            held.append(part)
            held.read(0, 3)
        assert len(held) == samples.size
        start = min(start, samples.size)
        np.testing.assert_array_equal(held.read(start, start + length), samples[start : start + length])


def spool_of(patch, bytes_in_memory):
    patch.setattr(spool, "_BYTES_IN_MEMORY", bytes_in_memory)
    return spool.Spool()


def test_a_full_temporary_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(spool.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(spool, "_BYTES_IN_MEMORY", 1000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))  # A write beyond it fails as one to a full disk.
    try:
        with spool.Spool() as held, pytest.raises(audio.DecodeError) as caught:
            held.append(np.zeros(2**20, np.int16))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.cause == "too long"
    assert str(caught.value) == (
        f"its sound does not fit into {tmp_path} (File too large); let TMPDIR name a folder with room"
    )
    assert not list(tmp_path.iterdir())


def test_its_bytes_are_those_of_its_samples():
    with spool.Spool() as held:
        for samples in (np.arange(5, dtype=np.int16), np.arange(3, dtype=np.int16)):
            held.append(samples)
        assert held.nbytes == held.read(0, len(held)).nbytes == 16
        held.clear()
        assert held.nbytes == 0
