import collections
import dataclasses
import hashlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest
import soundfile
from apache_beam.metrics.metric import MetricsFilter
from etils import epath
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs import examples, runners, sources
from beam_jobs.ingest import job as shard_audio
from beam_jobs.ingest import plan as shard_plan
from beam_jobs.ingest import records as shard_records
from tests import corpora

SPLITS = st.sampled_from(["train", "valid", "eval"])


def job_of(listing):
    return shard_audio.Job(source=listing.root, label_names=listing.label_names, sample_rate=16000)


def run(source, work, *, shards=3, beam_args=()):
    listing = sources.list_clips(source)
    plan = shard_audio.plan_shards(listing.clips, sample_rate=16000, shards=shards)
    return shard_audio.write_shards(plan, job=job_of(listing), work_dir=work, beam_args=beam_args)


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


def test_size_and_workers_decide_the_number_of_shards():
    clips = [sources.Clip(clip_id=str(i), path="", start_s=0.0, end_s=10.0) for i in range(8000)]
    assert len(shard_audio.plan_shards(clips, sample_rate=16000)) == 19  # 8,000 clips of 320 kB in 128 MiB each
    assert len(shard_audio.plan_shards(clips, sample_rate=16000, shard_bytes=2**25)) == 76
    assert len(shard_audio.plan_shards(clips, sample_rate=16000, workers=10)) == 80
    assert len(shard_audio.plan_shards(clips[:5], sample_rate=16000)) == 5


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"train": 800, "valid": 50, "eval": 200}, {"train": 4, "valid": 1, "eval": 1}),
        ({"train": 800, "eval": 1600}, {"train": 4, "eval": 8}),
        ({"eval": 1000}, {"eval": 4}),
        ({"valid": 500, "eval": 1500}, {"valid": 1, "eval": 3}),
    ],
)
def test_a_number_of_shards_is_that_of_the_train_split_or_of_all_without_one(sizes, expected):
    splits = [split for split, size in sizes.items() for _ in range(size)]
    clips = [sources.Clip(clip_id=str(i), path="", split=split) for i, split in enumerate(splits)]
    plan = shard_audio.plan_shards(clips, sample_rate=16000, shards=4)
    assert collections.Counter(shard.split for shard in plan) == expected
    assert {shard.shards for shard in plan} == set(expected.values())


@given(train=st.integers(0, 300), valid=st.integers(0, 30), evaluation=st.integers(0, 100), workers=st.integers(1, 20))
def test_eight_shards_a_worker_unless_there_are_fewer_clips(train, valid, evaluation, workers):
    splits = ["train"] * train + ["valid"] * valid + ["eval"] * evaluation
    clips = [sources.Clip(clip_id=str(i), path="", split=split) for i, split in enumerate(splits)]
    plan = shard_audio.plan_shards(clips, sample_rate=16000, workers=workers)
    assert min(len(clips), 8 * workers) <= len(plan) <= min(len(clips), 8 * workers + 2)


def test_records_of_a_dataset_stay_in_their_order():
    clips = [sources.Clip(clip_id=f"train/{i}", path="train", record=i) for i in range(100)]
    plan = shard_audio.plan_shards(clips[::-1], sample_rate=16000, shards=7)
    assert [clip.record for shard in plan for clip in shard.clips] == list(range(100))


@given(st.lists(st.text(), min_size=1, max_size=5, unique=True))
def test_a_saved_plan_is_the_plan(names):
    clips = [
        sources.Clip(clip_id=n, path=n, labels=tuple(names), start_s=0.1, end_s=1.0, trimmed=t, fold=2)
        for n, t in zip(names, itertools.cycle((None, True, False)), strict=False)
    ]
    with tempfile.TemporaryDirectory() as folder:
        work = epath.Path(folder)
        (shard,) = shard_audio.plan_shards(clips, sample_rate=16000, shards=1)
        shard_plan.save(work, [shard])
        assert shard_plan.load(work, shard.file)[0] == shard


def test_a_plan_outlives_a_change_of_workers(tmp_path):
    work = epath.Path(tmp_path / "work")
    assert shard_plan.pinned_workers(work, 4) == 4
    assert shard_plan.pinned_workers(work, 2) == 4


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
    assert causes == {"broken.wav": "unreadable", "empty.flac": "too short", "nan.wav": "non-finite"}
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


def test_a_file_of_the_right_size_with_other_bytes_is_written_again(tmp_path):
    source, work = corpora.esc50(tmp_path / "esc", clips=12), tmp_path / "work"
    records = run(source, work)
    file = work / records[0].file
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert run(source, work) == records
    assert hashlib.sha256(file.read_bytes()).hexdigest() == records[0].sha256


def test_nothing_of_another_plan_or_half_written_stays(tmp_path):
    source, work = corpora.esc50(tmp_path / "esc", clips=12), tmp_path / "work"
    run(source, work, shards=5)
    (work / "audio-train.tfrecord-00000-of-00003.0123abcd.writing").write_bytes(b"half")
    (work / "checkpoint").write_text("of somebody else")
    records = run(source, work, shards=3)
    names = {path.name for path in work.iterdir() if path.is_file()}
    assert names == {record.file for record in records} | {"checkpoint"}
    assert {record.file for record in shard_records.finished(work)} == {record.file for record in records}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lost")
    source = corpora.esc50(folder / "esc", clips=8)
    next((source / "audio").iterdir()).write_bytes(b"bad")
    listing = sources.list_clips(source)
    (shard,) = shard_audio.plan_shards(
        [dataclasses.replace(clip, split="train") for clip in listing.clips], sample_rate=16000, shards=1
    )
    (record,) = shard_audio.write_shards([shard], job=job_of(listing), work_dir=folder / "work")
    return shard, record


class TestNothingIsLost:
    def test_as_it_should_be(self, done):
        shard, record = done
        assert (record.listed, record.written, len(record.quarantined)) == (8, 7, 1)
        shard_records.check_nothing_lost(shard, record)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda shard, record: (shard, dataclasses.replace(record, quarantined=())),
            lambda shard, record: (shard, dataclasses.replace(record, quarantined=record.quarantined * 2)),
            lambda shard, record: (shard, dataclasses.replace(record, written=8)),
            lambda shard, record: (shard, dataclasses.replace(record, written_ids=shard_records.ids_digest(["a"] * 7))),
            lambda shard, record: (dataclasses.replace(shard, clips=shard.clips[1:]), record),
            lambda shard, record: (dataclasses.replace(shard, clips=shard.clips + shard.clips[:1]), record),
            lambda shard, record: (
                shard,
                dataclasses.replace(record, quarantined=({**record.quarantined[0], "clip_id": "another"},)),
            ),
        ],
    )
    def test_what_does_not_add_up(self, done, damage):
        with pytest.raises(shard_records.LostClipsError, match="does not add up"):
            shard_records.check_nothing_lost(*damage(*done))


def test_counters(tmp_path):
    source = corpora.esc50(tmp_path / "esc", clips=8)
    next((source / "audio").iterdir()).write_bytes(b"bad")
    listing = sources.list_clips(source)
    plan = shard_audio.plan_shards(listing.clips, sample_rate=16000, shards=2)
    pipeline = runners.pipeline(())
    refused = {"wrong label": 3, "unreadable": 2}
    shard_audio.build(pipeline, plan, job=job_of(listing), work_dir=tmp_path / "work", refused=refused)
    result = pipeline.run()
    result.wait_until_finish()
    metrics = result.metrics().query(MetricsFilter().with_namespace("ingest"))
    counted = collections.Counter()
    for counter in metrics["counters"]:  # one a step
        counted[counter.key.metric.name] += counter.committed
    assert counted == {"written": 7, "quarantined_unreadable": 1 + 2, "quarantined_wrong_label": 3}
    measured = {d.key.metric.name: d.committed for d in metrics["distributions"]}
    assert measured.keys() == {"decode_ms", "clip_ms"}
    assert (measured["clip_ms"].count, measured["clip_ms"].min, measured["clip_ms"].max) == (7, 500, 500)


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
    code = "import sys; from tests.beam_jobs.ingest import test_job as t; t.run(sys.argv[1], sys.argv[2])"
    process = subprocess.Popen([sys.executable, "-c", code, str(source), str(work)])
    try:
        deadline = time.monotonic() + 60
        while not (shard_records.finished(work) and any(work.glob(f"{last.file}.*.writing"))):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (work / last.file).exists()
    survivors = {record.file: (work / record.file).stat().st_mtime_ns for record in shard_records.finished(work)}
    assert survivors
    held.unlink()
    held.write_bytes(content)
    assert [(record.file, record.sha256) for record in run(source, work)] == expected
    assert {name: (work / name).stat().st_mtime_ns for name in survivors} == survivors
