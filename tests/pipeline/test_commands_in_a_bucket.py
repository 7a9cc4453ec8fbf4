"""The commands beside `diptych run`, on folders and roots in a bucket."""

import contextlib
import io
import json
import re

import pytest
from etils import epath

from beam_jobs import storage
from pipeline import cli
from tests.pipeline import tiny_run

ROOT = "gs://bucket/root"


@pytest.fixture(autouse=True)
def in_temporary_folder(tmp_path, monkeypatch):
    """Logs of what lies in a bucket lie in the current folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data(buckets, tmp_path):
    """A folder of clips in the bucket."""
    (tmp_path / "clips").mkdir()
    tiny_run.write_clips(tmp_path / "clips")
    storage.copy_tree(epath.Path(tmp_path / "clips"), epath.Path("gs://bucket/clips"))
    return "gs://bucket/clips"


def diptych(*words):
    """Runs a command, and returns what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main([str(word) for word in words])
    assert (status, err.getvalue()) == (0, ""), out.getvalue()
    return " ".join(out.getvalue().split())


@pytest.mark.slow
def test_stages_by_themselves(data, tmp_path):
    work = "gs://bucket/work"
    ingest = ["run-component", "AudioExampleGen", "--exec-properties", json.dumps({"source": data, "shards": 2})]
    ingest += ["--output", "examples", f"{work}/examples"]
    assert "30 clips in 4 shards" in diptych(*ingest)
    assert "its outputs are there since an earlier call" in diptych(*ingest)
    folders = ["--input", "examples", f"{work}/examples", "--output", "statistics", f"{work}/statistics"]
    diptych("run-component", "StatisticsGen", *folders)
    overrides = [word for word in tiny_run.command(data, ROOT) if word.startswith("trainer.")]
    train = ["train", "--preset", "tiny", "--examples", f"{work}/examples", "--output", f"{work}/trained", *overrides]
    assert "4 steps, best at 2, loss" in diptych(*train)
    assert "nothing was left to train" in diptych(*train)
    assert storage.is_folder(epath.Path(f"{work}/trained/model"))


@pytest.mark.slow
def test_what_asks_the_metadata_of_a_root(data, tmp_path):
    place = ["--root", ROOT, "--metadata", tmp_path / "metadata.sqlite"]
    run = [*tiny_run.command(data, ROOT), "--metadata", tmp_path / "metadata.sqlite", "--until", "StatisticsGen"]
    diptych(*run, "audio_example_gen.shards=2")
    diptych(*run, "audio_example_gen.shards=3")
    first, second = (epath.Path(f"{ROOT}/artifacts/AudioExampleGen/examples/{number}") for number in (1, 3))
    assert first.is_dir()
    assert second.is_dir()
    assert "audio_example_gen.shards 2 -> 3, AudioExampleGen examples changed" in diptych("runs", *place)
    assert "went into: └── StatisticsGen/statistics/4" in diptych("lineage", *place, second)
    names = re.findall(r"\b\d{8}-\d{6}-\w{4}\b", diptych("runs", *place))
    assert "audio_example_gen.shards" in diptych("diff", *place, *names)
    assert "Can be removed: " in diptych("gc", *place)
    assert first.is_dir()
    diptych("gc", *place, "--delete")
    assert not first.exists()
    assert second.is_dir()
