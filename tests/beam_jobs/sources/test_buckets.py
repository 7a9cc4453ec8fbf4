"""The walk over folders of a bucket."""

import pytest

from beam_jobs import sources
from beam_jobs.sources import given
from tests import bucket
from tests.beam_jobs.sources.folders import digest, touch


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Returns the folder on this machine that is gs://b/d."""
    bucket.Bucket(tmp_path).install(monkeypatch)
    touch(tmp_path / "b" / "d", "a.wav", "1/2/3/4/5/b.M4B", "n.txt", "q.csv", "c:d.wav")
    touch(tmp_path / "b" / "d", "._a.wav", "__MACOSX/a.wav", "sub/.hidden/c.wav")
    touch(tmp_path / "b" / "d", "runs/x/.pipeline", "runs/x/artifacts/1/quarantine.csv", "runs/x/keep.wav")
    return tmp_path / "b" / "d"


def test_a_bucket_gives_what_the_same_folder_gives(folder):
    local, remote = sources.list_clips(folder), sources.list_clips("gs://b/d")
    assert [clip.path for clip in remote.clips] == ["1/2/3/4/5/b.M4B", "a.wav", "c:d.wav", "runs/x/keep.wav"]
    assert (remote.clips, remote.ignored) == (local.clips, local.ignored)
    assert remote.ignored == {"files that end in .txt": 1, "files that end in .csv": 1}


def test_embed_finds_the_same_files(folder):
    found = given.find(["gs://b/d", "gs://b/d/n.txt"])
    listed = [f"gs://b/d/{clip.path}" for clip in sources.list_clips("gs://b/d").clips]
    assert found.files == [*listed, "gs://b/d/n.txt"]
    assert found.left_out == sources.list_clips("gs://b/d").ignored
    with pytest.raises(FileNotFoundError, match="gs://b/e"):
        given.find(["gs://b/e"])


def test_the_digest_covers_what_is_listed(folder):
    digests = {digest("gs://b/d")}
    touch(folder, "runs/x/work/1/quarantine.csv", "sub/.hidden.wav", "sub/notes.txt")
    digests.add(digest("gs://b/d"))
    assert len(digests) == 1
    touch(folder, "5/4/3/2/1/b.wav")
    digests.add(digest("gs://b/d"))
    assert len(digests) == 2
