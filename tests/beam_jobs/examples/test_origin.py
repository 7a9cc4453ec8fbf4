import numpy as np

from beam_jobs import examples, storage
from beam_jobs.examples import origin
from beam_jobs.manifest import Manifest
from tests.components import stored_examples


def _write(folder, value, *, recorded=("train", "valid")):
    """Writes two clips, one of which holds the value, and a manifest of the files of some splits."""
    clips = {split: [(np.full(9, number, np.int16), (), 0)] for split, number in (("train", value), ("valid", 1))}
    info = examples.read_info(stored_examples.write_examples(folder, clips))
    names = [file.rpartition("/")[2] for split in recorded for file in info.files(split)]
    digests = {name: storage.file_digest(info.directory / name) for name in names}
    Manifest(files={name: each._asdict() for name, each in digests.items()}).write(info.directory)
    return info


def test_equal_clips_are_told_from_others_wherever_they_lie(tmp_path):
    first, same, other = (
        origin.describe(_write(tmp_path / name, value)) for name, value in {"a": 1, "b": 1, "c": 2}.items()
    )
    assert first == same
    assert first["description"] == "test"
    assert len(first["sha256"]) == 64
    assert first["sha256"] != other["sha256"]


def test_no_clip_is_read_for_a_digest(tmp_path):
    assert origin.describe(_write(tmp_path / "x", 1, recorded=("train",))) == {"description": "test"}
