"""Executions of AudioExampleGen that succeed."""

import csv
import json
import pathlib
import subprocess

import numpy as np
import pytest
import soundfile
from etils import epath

from beam_jobs import examples
from beam_jobs.examples import record_sizes, tfrecord
from tests import corpora
from tests.components import harness
from tests.components.audio_example_gen.stage import audio_example_gen, read_clips

pytestmark = pytest.mark.usefixtures("blank_pictures", "kept_decoders")

ESC50 = pathlib.Path(__file__).parents[4] / "shared" / "data" / "esc50"


@pytest.fixture(scope="module")
def esc50_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("esc50")
    component = audio_example_gen(source=str(corpora.esc50(folder / "source", clips=40)), shards=3)
    return harness.execute(component, folder / "run")


def test_esc50_becomes_examples(esc50_run):
    info = examples.read_info(esc50_run.outputs["examples"])
    assert sum(info.splits.values()) == 40
    assert info.shards["train"] == 3
    assert info.has_folds
    assert info.label_names == ("class_0", "class_1")
    assert {int(clip["fold"]) for clip in read_clips(info.directory)} == {1, 2, 3, 4, 5}
    assert esc50_run.result.summary.startswith("40 clips in ")
    assert esc50_run.result.summary.endswith("none quarantined")
    assert esc50_run.result.figures["clips"] == 40


def test_the_manifest_holds_digest_and_size_of_each_file(esc50_run):
    folder = esc50_run.outputs["examples"]
    files = json.loads((folder / "_done" / "manifest.json").read_text())["files"]
    assert set(files) == {path.name for path in folder.glob("*.tfrecord*")}
    for name, recorded in files.items():
        digest = subprocess.run(["sha256sum", folder / name], capture_output=True, text=True, check=True)
        assert digest.stdout.split()[0] == recorded["sha256"]
        assert (folder / name).stat().length == recorded["bytes"]
    assert sum(recorded["clips"] for recorded in files.values()) == 40


def test_the_sizes_are_those_of_the_examples(esc50_run):
    info = examples.read_info(esc50_run.outputs["examples"])
    for split in info.splits:
        sizes = [size for file in info.files(split) for size in tfrecord.sizes(epath.Path(file))]
        assert record_sizes.read(info, split).tolist() == sizes
    assert (info.directory / record_sizes.FILE).exists()


def test_progress_and_tensorboard(esc50_run):
    assert esc50_run.progress.updates[-1] == (40, 40, "clips")
    assert {"clips", "clips/train"} <= esc50_run.tags()
    assert any(tag.startswith("train/") for tag in esc50_run.tags())


def test_each_listed_clip_is_written_or_quarantined(tmp_path):
    source = corpora.audioset(tmp_path / "as", train=10, evaluation=4)
    (source / "audio" / f"{corpora.ytid(2)}_20.wav").unlink()
    (source / "audio" / f"{corpora.ytid(3)}_30.wav").write_bytes(b"RIFF but no more")
    run = harness.execute(audio_example_gen(), tmp_path / "run", audio=source)
    with (run.outputs["examples"] / "quarantine.csv").open() as file:
        quarantine = {row["clip_id"]: row["cause"] for row in csv.DictReader(file)}
    assert quarantine == {f"{corpora.ytid(2)}_20": "missing", f"{corpora.ytid(3)}_30": "unreadable"}
    info = examples.read_info(run.outputs["examples"])
    assert sum(info.splits.values()) + len(quarantine) == 14
    assert info.splits["eval"] == 4
    assert run.result.summary.endswith("2 quarantined (1 missing, 1 unreadable)")
    assert "quarantine" in run.tags()


def test_manifest_with_segments(tmp_path):
    corpora.write_tone(tmp_path / "clips" / "a.wav")
    corpora.write_tone(tmp_path / "clips" / "b.wav", seconds=3.0)
    manifest = tmp_path / "list.csv"
    manifest.write_text("path,start,end,labels\nclips/a.wav,,,x\nclips/b.wav,1.0,2.5,y\n")
    run = harness.execute(audio_example_gen(source=str(manifest)), tmp_path / "run")
    assert sorted(clip["audio"].size for clip in read_clips(run.outputs["examples"])) == [8000, 24000]


def test_flac_stores_the_same_samples_as_pcm(tmp_path):
    source = corpora.esc50(tmp_path / "esc", clips=6)
    samples = {}
    for storage in ("pcm", "flac"):
        run = harness.execute(audio_example_gen(source=str(source), storage=storage), tmp_path / storage)
        clips = read_clips(run.outputs["examples"])
        samples[storage] = {clip["clip_id"]: clip["audio"].tobytes() for clip in clips}
    assert samples["pcm"] == samples["flac"]


def test_shard_without_a_usable_clip_is_not_published(tmp_path):
    source = tmp_path / "folder"
    for i in range(4):
        corpora.write_tone(source / f"good{i}.wav")
        (source / f"bad{i}.wav").write_bytes(b"no audio")
    run = harness.execute(audio_example_gen(source=str(source), shards=8), tmp_path / "run")
    info = examples.read_info(run.outputs["examples"])
    assert sum(info.splits.values()) == 4
    assert sum(info.shards.values()) == 4
    assert info.label_names == ()
    assert not info.has_folds
    assert len(read_clips(info.directory)) == 4


def test_long_recording_becomes_several_clips_without_losing_a_sample(tmp_path):
    whole = np.arange(16000 * 5, dtype=np.int16)
    (tmp_path / "source").mkdir()
    soundfile.write(tmp_path / "source" / "long.wav", whole, 16000)
    corpora.write_tone(tmp_path / "source" / "short.wav")
    component = audio_example_gen(source=str(tmp_path / "source"), max_clip_seconds=2.0)
    run = harness.execute(component, tmp_path / "run")
    clips = read_clips(run.outputs["examples"])
    parts = sorted((c for c in clips if c["source"] == b"long.wav"), key=lambda clip: clip["start_s"])
    assert len(clips) == 4
    assert [part["clip_id"] for part in parts] == [b"long.wav@0.00", b"long.wav@1.67", b"long.wav@3.33"]
    np.testing.assert_array_equal(np.concatenate([part["audio"] for part in parts]), whole)
    assert run.progress.updates[-1] == (2, 2, "clips")
    assert run.result.summary.startswith("4 clips in ")


@pytest.mark.parametrize(("hush", "message"), [(0, "digital silence"), (3, "peak -81 dBFS, below -60")])
def test_silent_parts_of_a_recording_are_quarantined(tmp_path, hush, message):
    sound = np.random.default_rng(0).integers(-9000, 9000, 16000 * 2).astype(np.int16)
    quiet = np.full(16000 * 2, hush, np.int16)
    (tmp_path / "source").mkdir()
    soundfile.write(tmp_path / "source" / "long.wav", np.concatenate([quiet, sound, quiet, sound]), 16000)
    soundfile.write(tmp_path / "source" / "silent.wav", np.tile(quiet, 3), 16000)
    component = audio_example_gen(
        source=str(tmp_path / "source"), max_clip_seconds=2.0, min_peak_dbfs=-60.0 if hush else None
    )
    run = harness.execute(component, tmp_path / "run")
    folder = run.outputs["examples"]
    clips = sorted(read_clips(folder), key=lambda clip: clip["start_s"])
    assert [clip["clip_id"] for clip in clips] == [b"long.wav@2.00", b"long.wav@6.00"]
    for clip in clips:
        np.testing.assert_array_equal(clip["audio"], sound)
    with (folder / "quarantine.csv").open() as table:
        rows = [(row["clip_id"], row["path"], row["cause"], row["message"]) for row in csv.DictReader(table)]
    assert rows == [
        ("silent.wav", "silent.wav", "silent", message),
        ("long.wav@0.00", "long.wav", "silent", message),
        ("long.wav@4.00", "long.wav", "silent", message),
    ]
    assert ", 1 quarantined (1 silent); 2 silent parts of longer recordings quarantined, too" in run.result.summary
    figures = run.result.figures
    assert (figures["listed"], figures["clips"], figures["quarantined"], figures["silent_parts"]) == (2, 2, 1, 2)


def test_same_source_gives_the_same_files(tmp_path):
    source = corpora.esc50(tmp_path / "esc", clips=12)
    contents = []
    for i in range(2):
        run = harness.execute(audio_example_gen(source=str(source), shards=2), tmp_path / f"run{i}")
        contents.append({p.name: p.read_bytes() for p in run.outputs["examples"].iterdir() if not p.is_dir()})
    assert contents[0] == contents[1]


@pytest.mark.slow
@pytest.mark.skipif(not ESC50.exists(), reason=f"ESC-50 is not at {ESC50}")
def test_all_clips_of_the_real_esc50_are_written(tmp_path):
    run = harness.execute(audio_example_gen(source=str(ESC50)), tmp_path / "run")
    info = examples.read_info(run.outputs["examples"])
    assert sum(info.splits.values()) == 2000
    assert len(info.label_names) == 50
    assert run.result.figures["quarantined"] == 0
    counts = {}
    for clip in read_clips(info.directory):
        assert clip["audio"].size == 80000
        key = (int(clip["fold"]), int(clip["labels"][0]))
        counts[key] = counts.get(key, 0) + 1
    assert set(counts.values()) == {8}  # 5 folds of 8 clips of each of the 50 classes.
    assert len(counts) == 250


def test_labels_may_hold_what_python_takes_for_the_end_of_a_line(tmp_path):
    names = [f"a{mark}b" for mark in "\u2028\u2029\x85\x0b"]
    for index in range(len(names)):
        corpora.write_tone(tmp_path / "source" / f"{index}.wav")
    rows = "".join(f"{index}.wav,{name}\n" for index, name in enumerate(names))
    (tmp_path / "source" / "manifest.csv").write_text(f"path,labels\n{rows}")
    run = harness.execute(audio_example_gen(source=str(tmp_path / "source")), tmp_path / "run")
    assert examples.read_info(run.outputs["examples"]).label_names == tuple(sorted(names))
