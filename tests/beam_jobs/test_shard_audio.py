import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs import examples, shard_audio, sources
from tests import corpora

SPLITS = st.sampled_from(["train", "valid", "eval"])


def run(source, work, *, shards=3, beam_args=()):
    listing = sources.list_clips(source)
    plan = shard_audio.plan_shards(listing.clips, sample_rate=16000, shards=shards)
    return shard_audio.write_shards(
        plan,
        source=source,
        work_dir=work,
        label_names=listing.label_names,
        sample_rate=16000,
        beam_args=beam_args,
    )


def read(work, records):
    return [clip for r in records for clip in examples.read_file(str(work / r.file)).as_numpy_iterator()]


@settings(deadline=None)
@given(clips=st.dictionaries(st.text(min_size=1), SPLITS, min_size=1, max_size=60), shards=st.integers(1, 20))
def test_plan_holds_every_clip_once_whatever_the_order(clips, shards):
    listed = [sources.Clip(clip_id=i, path=i, split=split) for i, split in clips.items()]
    plan = shard_audio.plan_shards(listed, sample_rate=16000, shards=shards)
    planned = [(clip.clip_id, clip.split) for shard in plan for clip in shard.clips]
    assert sorted(planned) == sorted(clips.items())
    assert all(shard.clips and {clip.split for clip in shard.clips} == {shard.split} for shard in plan)
    assert len({shard.file for shard in plan}) == len(plan)
    assert shard_audio.plan_shards(listed[::-1], sample_rate=16000, shards=shards) == plan


def test_size_decides_the_number_of_shards():
    clips = [sources.Clip(clip_id=str(i), path="", start_s=0.0, end_s=10.0) for i in range(8000)]
    assert len(shard_audio.plan_shards(clips, sample_rate=16000)) == 19  # 8,000 clips of 320 kB in 128 MiB each
    assert len(shard_audio.plan_shards(clips[:100], sample_rate=16000)) == 8
    assert len(shard_audio.plan_shards(clips[:5], sample_rate=16000)) == 5


def test_audio_and_labels_arrive(tmp_path):
    source = corpora.audioset(tmp_path / "as", train=5, evaluation=3)
    records = run(source, tmp_path / "work")
    clips = {clip["clip_id"].decode(): clip for clip in read(tmp_path / "work", records)}
    assert len(clips) == 8
    assert all(not record.quarantined for record in records)
    clip = clips[f"{corpora.ytid(3)}_30"]
    expected, _ = soundfile.read(source / "audio" / f"{corpora.ytid(3)}_30.wav", dtype="int16")
    np.testing.assert_array_equal(clip["audio"], expected)
    assert clip["labels"].tolist() == [0, 2]
    assert clip["start_s"] == 30.0
    assert clip["source"] == f"audio/{corpora.ytid(3)}_30.wav".encode()


def test_a_segment_is_cut_out_of_a_whole_recording_but_not_out_of_itself(tmp_path):
    source = corpora.audioset(tmp_path / "as", train=2, evaluation=1)
    for i in range(2):
        (source / "audio" / f"{corpora.ytid(i)}_{10 * i}.wav").unlink()
    whole = np.random.default_rng(0).integers(-9000, 9000, 16000 * 12).astype(np.int16)
    soundfile.write(source / "audio" / f"{corpora.ytid(1)}.wav", whole, 16000)  # listed as 10.0 to 10.5 s
    soundfile.write(source / "audio" / f"{corpora.ytid(0)}.wav", whole[:8000], 16000)
    clips = {c["clip_id"].decode(): c for c in read(tmp_path / "work", run(source, tmp_path / "work"))}
    np.testing.assert_array_equal(clips[f"{corpora.ytid(1)}_10"]["audio"], whole[160000:168000])
    np.testing.assert_array_equal(clips[f"{corpora.ytid(0)}_0"]["audio"], whole[:8000])


def test_bad_files_are_quarantined_with_their_cause_and_nothing_else_is_lost(tmp_path):
    source = tmp_path / "folder"
    for i in range(6):
        corpora.write_tone(source / f"good{i}.wav")
    (source / "broken.wav").write_bytes(b"RIFF nothing")
    soundfile.write(source / "empty.flac", np.zeros(0), 16000)
    soundfile.write(source / "nan.wav", np.array([np.nan]), 16000, subtype="FLOAT")
    records = run(source, tmp_path / "work")
    causes = {entry["path"]: entry["cause"] for record in records for entry in record.quarantined}
    assert causes == {"broken.wav": "unreadable", "empty.flac": "empty", "nan.wav": "non-finite"}
    assert len(read(tmp_path / "work", records)) == sum(record.clips for record in records) == 6


@pytest.mark.parametrize("mode", ["in_memory", "multi_threading"])
def test_bytes_do_not_depend_on_the_runner(tmp_path, mode):
    source = corpora.esc50(tmp_path / "esc", clips=12)
    args = ("--runner=FnApiRunner", f"--direct_running_mode={mode}", "--direct_num_workers=3")
    expected = [(record.file, record.sha256) for record in run(source, tmp_path / "a")]
    assert [(record.file, record.sha256) for record in run(source, tmp_path / "b", beam_args=args)] == expected


def test_a_rerun_writes_only_what_changed_or_is_gone(tmp_path):
    source = corpora.esc50(tmp_path / "esc", clips=12)
    work = tmp_path / "work"
    records = run(source, work)
    (work / records[0].file).unlink()
    (work / records[1].file).write_bytes(b"cut short")
    before = {record.file: (work / record.file).stat().st_mtime_ns for record in records[2:]}
    assert run(source, work) == records
    assert {name: (work / name).stat().st_mtime_ns for name in before} == before
    assert len(read(work, records)) == 12


def test_killed_in_the_middle_and_run_again(tmp_path):
    """One clip is a named pipe: its shard cannot finish, so the kill always comes in the middle."""
    source = corpora.esc50(tmp_path / "esc", clips=12)
    expected = [(record.file, record.sha256) for record in run(source, tmp_path / "uninterrupted")]
    last = shard_audio.plan_shards(sources.list_clips(source).clips, sample_rate=16000, shards=3)[-1]
    held = source / last.clips[-1].path
    content = held.read_bytes()
    held.unlink()
    os.mkfifo(held)
    work = tmp_path / "work"
    code = "import sys; from tests.beam_jobs import test_shard_audio as t; t.run(sys.argv[1], sys.argv[2])"
    process = subprocess.Popen([sys.executable, "-c", code, str(source), str(work)])
    try:
        deadline = time.monotonic() + 60
        while not (shard_audio.finished(work) and any(work.glob(f"{last.file}.*.writing"))):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (work / last.file).exists()
    survivors = {record.file: (work / record.file).stat().st_mtime_ns for record in shard_audio.finished(work)}
    assert survivors
    held.unlink()
    held.write_bytes(content)
    assert [(record.file, record.sha256) for record in run(source, work)] == expected
    assert {name: (work / name).stat().st_mtime_ns for name in survivors} == survivors
