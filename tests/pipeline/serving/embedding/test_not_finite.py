"""A model that gives numbers that are not finite for some sounds."""

import argparse
import dataclasses

import numpy as np
import pytest

from pipeline.commands import embed as command
from pipeline.serving.embedding import groups
from tests import corpora
from tests.pipeline.serving.embedding.projection import Projection, ProjectionLoader, embed_with


class Overflowing(Projection):
    """Overflows where a window is loud, and is stopped before window `stop_at`."""

    def __init__(self, stop_at):
        super().__init__()
        self._stop_at = stop_at

    def embed(self, windows):
        if self.windows + len(windows) > self._stop_at:
            raise KeyboardInterrupt
        vectors = super().embed(windows)
        vectors["second"][np.abs(windows).max(axis=1) > 0.9] = np.inf
        return vectors


@dataclasses.dataclass(frozen=True)
class OverflowingLoader(ProjectionLoader):
    stop_at: int = 1000

    def load(self):
        return Overflowing(self.stop_at)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(groups, "MOST_CLIPS", 1)
    for name, amplitude in (("a", 0.95), ("b", 0.5), ("c", 0.99)):
        corpora.write_tone(tmp_path / "in" / f"{name}.wav", seconds=1.0, sample_rate=16000, amplitude=amplitude)
    return tmp_path / "in"


@pytest.mark.parametrize("row", ["clip", "window"])
def test_the_files_are_named_once_also_by_a_call_that_continues(folder, tmp_path, row):
    with pytest.raises(KeyboardInterrupt):
        embed_with(OverflowingLoader(stop_at=7), [folder], tmp_path / "x.npz", row=row, batch_size=2)
    embedded = embed_with(OverflowingLoader(), [folder], tmp_path / "x.npz", row=row, batch_size=2)
    assert embedded.not_finite == [str(folder / "a.wav"), str(folder / "c.wav")]
    with np.load(tmp_path / "x.npz") as rows:
        is_finite = np.isfinite(rows["second"]).all(axis=1)
        assert set(rows["path"][~is_finite]) == set(embedded.not_finite)
        assert np.isfinite(rows["first"]).all()


def test_segments_are_named_by_their_file(folder, tmp_path):
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("path,start,end\nin/a.wav,0,0.5\nin/b.wav,0,1\nin/a.wav,0.5,1\n")
    embedded = embed_with(OverflowingLoader(), [manifest], tmp_path / "x.npz")
    assert embedded.clips == 3
    assert embedded.not_finite == [str(folder / "a.wav")]


def test_the_command_says_so(folder, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    command.add_shared_arguments(parser)
    arguments = parser.parse_args(["--output", str(tmp_path / "x.npz"), str(folder)])
    assert command.run(OverflowingLoader(), arguments) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "not finite" in line]
    assert said == [
        f"diptych: embeddings of 2 files are not finite, e.g. {folder / 'a.wav'}: do not use their rows, and export "
        "the model again if there are many"
    ]
