import collections
import hashlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from apache_beam.metrics.metric import MetricsFilter

from beam_jobs import runners, sources
from beam_jobs.ingest import job, records
from beam_jobs.ingest.plan import plan_shards
from tests import corpora
from tests.beam_jobs.ingest import ingest_source
from tests.beam_jobs.ingest.ingest_source import SAMPLE_RATE, ingest, job_of, read

pytestmark = pytest.mark.usefixtures("kept_decoders")


def test_audio_labels_and_provenance_are_stored(tmp_path):
    source = corpora.audioset(tmp_path / "as", train=5, evaluation=3)
    written = ingest(source, tmp_path / "work")
    clips = {clip["clip_id"].decode(): clip for clip in read(tmp_path / "work", written)}
    assert len(clips) == 8
    assert all(not record.quarantined for record in written)
    clip = clips[f"{corpora.ytid(3)}_30"]
    expected, _ = soundfile.read(source / "audio" / f"{corpora.ytid(3)}_30.wav", dtype="int16")
    np.testing.assert_array_equal(clip["audio"], expected)
    assert clip["labels"].tolist() == [0, 2]
    assert clip["start_s"] == 30.0
    assert clip["source"] == f"audio/{corpora.ytid(3)}_30.wav".encode()


def test_a_segment_is_cut_from_a_whole_recording_but_not_from_a_file_of_that_segment(tmp_path):
    source = corpora.audioset(tmp_path / "as", train=2, evaluation=1)
    for i in range(2):
        (source / "audio" / f"{corpora.ytid(i)}_{10 * i}.wav").unlink()
    recording = np.random.default_rng(0).integers(-9000, 9000, 16000 * 12).astype(np.int16)
    soundfile.write(source / "audio" / f"{corpora.ytid(1)}.wav", recording, 16000)  # The list says 10.0 to 10.5 s.
    soundfile.write(source / "audio" / f"{corpora.ytid(0)}.wav", recording[:8000], 16000)
    written = ingest(source, tmp_path / "work")
    clips = {clip["clip_id"].decode(): clip for clip in read(tmp_path / "work", written)}
    np.testing.assert_array_equal(clips[f"{corpora.ytid(1)}_10"]["audio"], recording[160000:168000])
    np.testing.assert_array_equal(clips[f"{corpora.ytid(0)}_0"]["audio"], recording[:8000])


def test_a_trimmed_file_does_not_serve_two_segments_of_its_recording(tmp_path):
    (tmp_path / "balanced_train_segments.csv").write_text(
        'abcdefghijk, 3.000, 4.000, "/m/09x0r"\nabcdefghijk, 7.000, 8.000, "/t/dd00001"\n'
        'bcdefghijkl, 3.000, 4.000, "/m/09x0r"\n'
    )
    (tmp_path / "class_labels_indices.csv").write_text(corpora.CLASSES)
    for ytid in ("abcdefghijk", "bcdefghijkl"):
        corpora.write_tone(tmp_path / f"{ytid}.wav", seconds=1.0)
    written = ingest(tmp_path, tmp_path / "work")
    assert [clip["clip_id"] for clip in read(tmp_path / "work", written)] == [b"bcdefghijkl_3"]
    quarantined = {entry["clip_id"]: entry["message"] for record in written for entry in record.quarantined}
    assert quarantined == dict.fromkeys(
        ("abcdefghijk_3", "abcdefghijk_7"), "holds 0.00 s of the 1.00 s that the list promises"
    )


def test_bad_files_are_quarantined_with_their_cause_and_all_other_files_are_written(tmp_path):
    source = tmp_path / "folder"
    for i in range(6):
        corpora.write_tone(source / f"good{i}.wav")
    (source / "broken.wav").write_bytes(b"RIFF nothing")
    soundfile.write(source / "empty.flac", np.zeros(0), 16000)
    soundfile.write(source / "nan.wav", np.array([np.nan]), 16000, subtype="FLOAT")
    written = ingest(source, tmp_path / "work")
    causes = {entry["path"]: entry["cause"] for record in written for entry in record.quarantined}
    assert causes == {"broken.wav": "unreadable", "empty.flac": "too short", "nan.wav": "non-finite"}
    assert len(read(tmp_path / "work", written)) == sum(record.clips for record in written) == 6


@pytest.mark.parametrize("mode", ["in_memory", "multi_threading"])
def test_the_bytes_of_a_shard_do_not_depend_on_the_runner(tmp_path, mode):
    source = corpora.esc50(tmp_path / "esc", clips=12)
    args = ("--runner=FnApiRunner", f"--direct_running_mode={mode}", "--direct_num_workers=3")
    expected = [(record.file, record.sha256) for record in ingest(source, tmp_path / "a")]
    assert [(record.file, record.sha256) for record in ingest(source, tmp_path / "b", beam_args=args)] == expected


def test_a_rerun_writes_only_the_shards_that_are_missing_or_changed(tmp_path):
    source = corpora.esc50(tmp_path / "esc", clips=12)
    work = tmp_path / "work"
    written = ingest(source, work)
    (work / written[0].file).unlink()
    (work / written[1].file).write_bytes(b"cut short")
    before = {record.file: (work / record.file).stat().st_mtime_ns for record in written[2:]}
    assert ingest(source, work) == written
    assert {name: (work / name).stat().st_mtime_ns for name in before} == before
    assert len(read(work, written)) == 12


def test_a_file_of_the_right_size_with_other_bytes_is_written_again(tmp_path):
    source, work = corpora.esc50(tmp_path / "esc", clips=12), tmp_path / "work"
    written = ingest(source, work)
    file = work / written[0].file
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert ingest(source, work) == written
    assert hashlib.sha256(file.read_bytes()).hexdigest() == written[0].sha256


def test_shards_of_another_plan_and_unfinished_files_are_removed(tmp_path):
    source, work = corpora.esc50(tmp_path / "esc", clips=12), tmp_path / "work"
    ingest(source, work, shards=5)
    (work / "audio-train.tfrecord-00000-of-00003.0123abcd.writing").write_bytes(b"half")
    (work / "checkpoint").write_text("another program's file")
    written = ingest(source, work, shards=3)
    names = {path.name for path in work.iterdir() if path.is_file()}
    assert names == {record.file for record in written} | {"checkpoint"}
    assert {record.file for record in records.finished(work)} == {record.file for record in written}


def test_counters_cover_the_clips_quarantined_during_listing(tmp_path):
    source = corpora.esc50(tmp_path / "esc", clips=8)
    next((source / "audio").iterdir()).write_bytes(b"bad")
    listing = sources.list_clips(source)
    planned = plan_shards(listing.clips, sample_rate=SAMPLE_RATE, shards=2)
    pipeline = runners.pipeline(())
    quarantined = {"wrong label": 3, "unreadable": 2}
    job.build(pipeline, planned, job=job_of(listing), work_dir=tmp_path / "work", quarantined=quarantined)
    result = pipeline.run()
    result.wait_until_finish()
    metrics = result.metrics().query(MetricsFilter().with_namespace("ingest"))
    counted = collections.Counter()
    for counter in metrics["counters"]:  # Beam keeps one counter per step.
        counted[counter.key.metric.name] += counter.committed
    assert counted == {"written": 7, "quarantined_unreadable": 1 + 2, "quarantined_wrong_label": 3}
    measured = {metric.key.metric.name: metric.committed for metric in metrics["distributions"]}
    assert measured.keys() == {"decode_ms", "clip_ms"}
    assert (measured["clip_ms"].count, measured["clip_ms"].min, measured["clip_ms"].max) == (7, 500, 500)


def test_a_job_that_is_killed_and_run_again_writes_the_same_shards(tmp_path):
    """One clip is half a day of silence. Decoding it takes so long that the job is always killed halfway."""
    source = corpora.esc50(tmp_path / "esc", clips=12)
    expected = [(record.file, record.sha256) for record in ingest(source, tmp_path / "uninterrupted")]
    last = plan_shards(sources.list_clips(source).clips, sample_rate=SAMPLE_RATE, shards=3)[-1]
    blocked = source / last.clips[-1].path
    content = blocked.read_bytes()
    corpora.write_silence(blocked, hours=12)
    work = tmp_path / "work"
    process = subprocess.Popen([sys.executable, "-m", ingest_source.__name__, str(source), str(work)])
    try:
        deadline = time.monotonic() + 60
        while not (records.finished(work) and any(work.glob(f"{last.file}.*.writing"))):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert last.file not in {record.shard for record in records.finished(work)}
    survivors = {record.file: (work / record.file).stat().st_mtime_ns for record in records.finished(work)}
    assert survivors
    blocked.write_bytes(content)
    assert [(record.file, record.sha256) for record in ingest(source, work)] == expected
    assert {name: (work / name).stat().st_mtime_ns for name in survivors} == survivors
