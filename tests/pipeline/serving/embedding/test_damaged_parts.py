"""What a stopped command has left, and something has damaged before it is repeated."""

import os

import numpy as np
import pytest

from pipeline.serving.embedding import groups
from tests import corpora
from tests.components.stored_examples import write_examples
from tests.pipeline.serving.embedding.projection import ProjectionLoader, embed_with
from tests.pipeline.serving.embedding.test_resume import StopAfter

CLIPS = 24


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A folder of examples. Those of the first group have two clips without sound."""
    rng = np.random.default_rng(0)
    clips = [(rng.integers(-9000, 9000, 2000 + 900 * (i % 7)).astype(np.int16), [], 0) for i in range(CLIPS)]
    clips[1] = clips[2] = (np.zeros(0, np.int16), [], 0)
    return write_examples(tmp_path_factory.mktemp("stored") / "examples", {"train": clips})


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch):
    monkeypatch.setattr(groups, "MOST_CLIPS", 4)


def remove(parts):
    (parts / "00001.arrow").unlink()


def empty(parts):
    (parts / "00001.arrow").write_bytes(b"")


def truncate(parts):
    os.truncate(parts / "00001.arrow", (parts / "00001.arrow").stat().st_size - 100)


def garble_vectors(parts):
    """Arrow itself reads such a file."""
    content = bytearray((parts / "00001.arrow").read_bytes())
    content[len(content) // 2] ^= 255
    (parts / "00001.arrow").write_bytes(content)


def swap(parts):
    for old, new in (("00001", "x"), ("00002", "00001"), ("x", "00002")):
        (parts / f"{old}.arrow").rename(parts / f"{new}.arrow")


def change_line(change):
    def damage(parts):
        lines = (parts / "journal.jsonl").read_bytes().split(b"\n")
        lines[2] = change(lines[2])
        (parts / "journal.jsonl").write_bytes(b"\n".join(lines))

    return damage


DAMAGES = {
    "part removed": remove,
    "part empty": empty,
    "part truncated": truncate,
    "vectors garbled": garble_vectors,
    "parts swapped": swap,
    "line garbled": change_line(lambda line: b"\xff\0" + line[2:]),
    "line cut": change_line(lambda line: line[:20]),
    "line empty": change_line(lambda line: b""),
    "line of another type": change_line(lambda line: b"[1]"),
    "line without a field": change_line(lambda line: line.replace(b'"clips"', b'"clops"')),
    "line with another number": change_line(lambda line: line.replace(b'"rows": 4', b'"rows": 5')),
    "line without a digest": change_line(lambda line: line[: line.index(b', "digest"')] + b"}"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_from_a_damaged_group_on_all_is_embedded_again(stored, tmp_path, name):
    for folder in ("expected", "stopped"):
        (tmp_path / folder).mkdir()
    expected = embed_with(ProjectionLoader(), [stored], tmp_path / "expected" / "x.parquet")
    assert not expected.damage
    output = tmp_path / "stopped" / "x.parquet"
    with pytest.raises(KeyboardInterrupt):
        embed_with(ProjectionLoader(), [stored], output, progress=StopAfter(17))
    DAMAGES[name](output.with_name("x.parquet.parts"))
    progress = Shown()
    done = embed_with(ProjectionLoader(), [stored], output, progress=progress)
    assert "of 4 finished groups the last 3 were embedded again" in done.damage
    assert progress.first <= 5  # What is before the damage is not embedded again.
    assert corpora.contents(output.parent) == corpora.contents(tmp_path / "expected")


class Shown:
    """Notes how many clips were done when the first was shown."""

    first = None

    def update(self, done, *, total, unit, **figures):
        self.first = self.first or int(figures["files"].split("/")[0])


def test_if_the_rest_was_finished_the_damage_is_repaired_too(stored, tmp_path, monkeypatch):
    def stop(descriptor):
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("output.new"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", stop)
        with pytest.raises(KeyboardInterrupt):
            embed_with(ProjectionLoader(), [stored], tmp_path / "x.npz")
    (tmp_path / "x.npz.parts" / "00005.arrow").unlink()
    done = embed_with(ProjectionLoader(), [stored], tmp_path / "x.npz")
    assert (done.clips, len(done.quarantined)) == (CLIPS - 2, 2)
    assert "x.npz.parts/00005.arrow or its line in journal.jsonl is missing, damaged" in done.damage


def test_the_second_stop_after_a_damage_loses_nothing_more(stored, tmp_path):
    output = tmp_path / "x.csv"
    with pytest.raises(KeyboardInterrupt):
        embed_with(ProjectionLoader(), [stored], output, progress=StopAfter(17))
    remove(tmp_path / "x.csv.parts")
    with pytest.raises(KeyboardInterrupt):
        embed_with(ProjectionLoader(), [stored], output, progress=StopAfter(9))
    assert (tmp_path / "x.csv.parts" / "journal.jsonl").read_bytes().count(b"\n") == 1 + 3
    assert embed_with(ProjectionLoader(), [stored], output).damage == ""
