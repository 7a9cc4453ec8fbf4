"""Folders to walk over, and what listing and `embed` read of them."""

import os

from beam_jobs import sources
from beam_jobs.sources import given
from components.audio_example_gen import source_digest


def touch(folder, *names):
    """Writes small files, each with another content."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def read_by_both(folder):
    """Returns what the listing and `embed` read of a folder, which must be the same, relative to it."""
    listing = sources.list_clips(folder)
    found = given.find([str(folder)])
    listed = [clip.path for clip in listing.clips]
    assert [os.path.relpath(file, folder) for file in found.files] == listed
    assert {os.path.relpath(name, folder) for name in found.unreadable} == {
        os.path.normpath(row.clip.path) for row in listing.quarantined
    }
    assert found.left_out == listing.ignored
    assert len({clip.clip_id for clip in listing.clips}) == len(listing.clips)
    return listed


def digest(folder):
    """Returns the digest of a source, by which `diptych run` knows whether it has changed."""
    return source_digest.digest(str(folder))
