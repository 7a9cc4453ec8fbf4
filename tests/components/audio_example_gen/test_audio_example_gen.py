import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pydantic
import pytest
import soundfile

from beam_jobs import examples
from components.audio_example_gen import AudioExampleGen, AudioExampleGenConfig, source_digest
from components.errors import UserError
from tests import corpora
from tests.components import harness

ESC50 = pathlib.Path(__file__).parents[4] / "shared" / "data" / "esc50"


def gen(**config):
    return AudioExampleGen(AudioExampleGenConfig(**config))


@pytest.fixture(scope="module")
def esc50_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("esc50")
    return harness.execute(gen(source=str(corpora.esc50(folder / "source", clips=40)), shards=3), folder / "run")


def test_esc50_to_examples(esc50_run):
    info = examples.read_info(esc50_run.outputs["examples"])
    assert sum(info.splits.values()) == 40
    assert info.shards["train"] == 3
    assert info.has_folds
    assert info.label_names == ("class_0", "class_1")
    clips = [c for split in info.splits for c in examples.dataset(info.directory, split).as_numpy_iterator()]
    assert {int(clip["fold"]) for clip in clips} == {1, 2, 3, 4, 5}
    assert esc50_run.result.summary.startswith("40 clips in ")
    assert esc50_run.result.summary.endswith("none quarantined")
    assert esc50_run.result.figures["clips"] == 40


def test_records_of_the_files_are_right(esc50_run):
    folder = esc50_run.outputs["examples"]
    records = [json.loads(path.read_text()) for path in (folder / "_done").glob("*.json")]
    assert {record["file"] for record in records} == {path.name for path in folder.glob("*.tfrecord*")}
    for record in records:
        digest = subprocess.run(["sha256sum", folder / record["file"]], capture_output=True, text=True, check=True)
        assert digest.stdout.split()[0] == record["sha256"]
        assert (folder / record["file"]).stat().length == record["bytes"]


def test_progress_and_tensorboard(esc50_run):
    assert esc50_run.progress.updates[-1] == (40, 40, "clips")
    assert {"clips", "clips/train"} <= esc50_run.tags()
    assert any(tag.startswith("train/") for tag in esc50_run.tags())


def test_input_is_written_or_quarantined(tmp_path):
    source = corpora.audioset(tmp_path / "as", train=10, evaluation=4)
    (source / "audio" / f"{corpora.ytid(2)}_20.wav").unlink()
    (source / "audio" / f"{corpora.ytid(3)}_30.wav").write_bytes(b"RIFF but no more")
    run = harness.execute(gen(), tmp_path / "run", audio=source)
    with (run.outputs["examples"] / "quarantine.csv").open() as file:
        quarantine = {row["clip_id"]: row["cause"] for row in csv.DictReader(file)}
    assert quarantine == {f"{corpora.ytid(2)}_20": "missing", f"{corpora.ytid(3)}_30": "unreadable"}
    info = examples.read_info(run.outputs["examples"])
    assert sum(info.splits.values()) + len(quarantine) == 14
    assert info.splits["eval"] == 4
    assert run.result.summary.endswith("2 quarantined (1 missing, 1 unreadable)")
    assert "quarantine" in run.tags()


@pytest.fixture(scope="module")
def half_bad(tmp_path_factory):
    """12 clips; 3 are missing, 2 unreadable and 1 is silent."""
    source = corpora.audioset(tmp_path_factory.mktemp("half") / "as", train=12, evaluation=0)
    files = [source / "audio" / f"{corpora.ytid(i)}_{10 * i}.wav" for i in range(12)]
    for file in files[:3]:
        file.unlink()
    for file in files[3:5]:
        file.write_bytes(b"bad")
    soundfile.write(files[5], np.zeros(8000), 16000)
    return source


class TestBoundOfQuarantine:
    def test_a_share_may_be_written_in_percent(self):
        assert AudioExampleGenConfig(max_quarantine="5%").max_quarantine == 0.05
        assert AudioExampleGenConfig(max_quarantine=0.05).max_quarantine == 0.05
        assert AudioExampleGenConfig(max_quarantine="0.05").max_quarantine == 0.05
        for wrong in ("5", "120%", "many%", -0.1):
            with pytest.raises(pydantic.ValidationError, match="max_quarantine"):
                AudioExampleGenConfig(max_quarantine=wrong)

    def test_above_it_the_stage_fails_when_all_is_done_and_says_why(self, half_bad, tmp_path):
        with pytest.raises(UserError) as caught:
            harness.execute(gen(source=str(half_bad), max_quarantine="49%"), tmp_path / "run")
        report = tmp_path / "run" / "work" / "quarantine.csv"
        assert str(caught.value).startswith(
            "6 of 12 clips (50.0%) were quarantined, more than audio_example_gen.max_quarantine=0.49: 3 missing, "
            f"2 unreadable, 1 silent; {report} lists each with its reason"
        )
        with report.open() as file:
            assert len(list(csv.DictReader(file))) == 6
        assert not list((tmp_path / "run" / "outputs" / "examples").iterdir())
        # Nothing is lost: the next run only publishes.
        work = tmp_path / "run" / "work"
        shards = {path.name: path.stat().st_mtime_ns for path in work.glob("*.tfrecord*")}
        run = harness.execute(gen(source=str(half_bad), max_quarantine="50%"), tmp_path / "run")
        assert {path.name: path.stat().st_mtime_ns for path in work.glob("*.tfrecord*")} == shards
        assert run.result.figures["listed"] == 12
        assert run.result.figures["clips"] == 6

    def test_without_one_it_goes_on(self, half_bad, tmp_path):
        run = harness.execute(gen(source=str(half_bad)), tmp_path / "run")
        assert run.result.summary.endswith("6 quarantined (3 missing, 2 unreadable, 1 silent)")
        assert {"quarantined/all", "quarantined/missing", "quarantine/causes", "quarantine"} <= run.tags()
        assert run.progress.figures[-1] == {"quarantined": 6}
        # A stage that has finished is held to a stricter bound, too.
        gen(max_quarantine="50%").check_reused(outputs=run.outputs, figures=run.result.figures)
        with pytest.raises(UserError, match="6 of 12.*3 missing, 2 unreadable, 1 silent; .*examples/quarantine.csv"):
            gen(max_quarantine="49%").check_reused(outputs=run.outputs, figures=run.result.figures)


class TestAnotherListThanLastTime:
    def test_is_said_after_a_finished_run(self, tmp_path):
        source = corpora.esc50(tmp_path / "esc", clips=8)
        files = sorted((source / "audio").iterdir())
        first = self.run(source, tmp_path / "0")
        same = self.run(source, tmp_path / "1", after=first)
        corpora.write_tone(source / "audio" / "new.ogg")
        with (source / "meta" / "esc50.csv").open("a") as table:
            table.write("new.wav,1,0,class_0,False,0,A\n")
        files[0].unlink()  # still in the list, so still a clip of the input
        grown = self.run(source, tmp_path / "2", after=same)
        other = self.run(corpora.esc50(tmp_path / "other"), tmp_path / "3", after=grown)
        assert grown.result.summary.endswith(
            "; 1 clips added, 0 removed, 0 files arrived, 1 gone since the last finished run"
        )
        assert not [run for run in (first, same, other) if "since" in run.result.summary]

    def test_files_that_arrive_for_rows_that_were_there(self, tmp_path):
        source = corpora.audioset(tmp_path / "as", train=8, evaluation=2)
        files = sorted((source / "audio").iterdir())
        kept = {file: file.read_bytes() for file in files[:5]}
        for file in kept:
            file.unlink()
        (source / "audio" / f"{corpora.ytid(7)}_70.wav").write_bytes(b"bad")  # which is there, though
        first = self.run(source, tmp_path / "0")
        for file, content in kept.items():
            file.write_bytes(content)
        second = self.run(source, tmp_path / "1", after=first)
        assert second.result.summary.endswith("; 5 files arrived, 0 gone since the last finished run")
        assert "since" not in self.run(source, tmp_path / "2", after=second).result.summary

    def test_is_said_after_an_interrupted_run_and_nothing_of_the_old_list_stays(self, tmp_path):
        source = tmp_path / "folder"
        for i in range(6):
            corpora.write_tone(source / f"{i}.wav", hertz=200 + 10 * i)
        (source / "bad.wav").write_bytes(b"bad")
        with pytest.raises(UserError, match="quarantined"):
            harness.execute(gen(source=str(source), max_quarantine=0.0), tmp_path / "run")
        (source / "bad.wav").unlink()
        (source / "0.wav").unlink()
        corpora.write_tone(source / "new.wav")
        run = self.run(source, tmp_path / "run")
        assert run.result.summary.endswith("quarantined; 1 clips added, 2 removed since the last interrupted run")
        fresh = self.run(source, tmp_path / "fresh")
        assert corpora.contents(run.outputs["examples"]) == corpora.contents(fresh.outputs["examples"])

    def run(self, source, folder, *, after=None):
        return harness.execute(gen(source=str(source)), folder, previous=after and after.outputs)


def test_a_manifest(tmp_path):
    corpora.write_tone(tmp_path / "clips" / "a.wav")
    corpora.write_tone(tmp_path / "clips" / "b.wav", seconds=3.0)
    manifest = tmp_path / "list.csv"
    manifest.write_text("path,start,end,labels\nclips/a.wav,,,x\nclips/b.wav,1.0,2.5,y\n")
    run = harness.execute(gen(source=str(manifest)), tmp_path / "run")
    info = examples.read_info(run.outputs["examples"])
    clips = [c for split in info.splits for c in examples.dataset(info.directory, split).as_numpy_iterator()]
    assert sorted(clip["audio"].size for clip in clips) == [8000, 24000]
    before = gen(source=str(manifest)).external_digests()
    corpora.write_tone(tmp_path / "clips" / "a.wav", seconds=0.7)
    assert gen(source=str(manifest)).external_digests() != before


def test_flac_holds_the_same(tmp_path):
    source = corpora.esc50(tmp_path / "esc", clips=6)
    made = {}
    for storage in ("pcm", "flac"):
        run = harness.execute(gen(source=str(source), storage=storage), tmp_path / storage)
        info = examples.read_info(run.outputs["examples"])
        clips = [c for split in info.splits for c in examples.dataset(info.directory, split).as_numpy_iterator()]
        made[storage] = {clip["clip_id"]: clip["audio"].tobytes() for clip in clips}
    assert made["pcm"] == made["flac"]


def test_a_shard_without_a_good_clip_is_no_shard(tmp_path):
    source = tmp_path / "folder"
    for i in range(4):
        corpora.write_tone(source / f"good{i}.wav")
        (source / f"bad{i}.wav").write_bytes(b"no audio")
    run = harness.execute(gen(source=str(source), shards=8), tmp_path / "run")
    info = examples.read_info(run.outputs["examples"])
    assert sum(info.splits.values()) == 4
    assert sum(info.shards.values()) == 4
    assert info.label_names == ()
    assert not info.has_folds
    assert sum(1 for split in info.splits for _ in examples.dataset(info.directory, split)) == 4


def test_long_recordings_become_clips_of_one_split_and_no_sample_is_lost(tmp_path):
    whole = np.arange(16000 * 5, dtype=np.int16)
    (tmp_path / "source").mkdir()
    soundfile.write(tmp_path / "source" / "long.wav", whole, 16000)
    corpora.write_tone(tmp_path / "source" / "short.wav")
    run = harness.execute(gen(source=str(tmp_path / "source"), max_clip_seconds=2.0), tmp_path / "run")
    info = examples.read_info(run.outputs["examples"])
    clips = [c for split in info.splits for c in examples.dataset(info.directory, split).as_numpy_iterator()]
    parts = sorted((c for c in clips if c["source"] == b"long.wav"), key=lambda clip: clip["start_s"])
    assert len(clips) == 4
    assert [part["clip_id"] for part in parts] == [b"long.wav@0.00", b"long.wav@1.67", b"long.wav@3.33"]
    np.testing.assert_array_equal(np.concatenate([part["audio"] for part in parts]), whole)
    assert run.progress.updates[-1] == (2, 2, "clips")
    assert run.result.summary.startswith("4 clips in ")


def test_same_source_gives_the_same_files(tmp_path):
    source = corpora.esc50(tmp_path / "esc", clips=12)
    names = {}
    for i in range(2):
        run = harness.execute(gen(source=str(source), shards=2), tmp_path / f"run{i}")
        names[i] = {p.name: p.read_bytes() for p in run.outputs["examples"].iterdir() if not p.is_dir()}
    assert names[0] == names[1]


def test_fingerprint_follows_the_files(tmp_path):
    component = gen(source=str(corpora.esc50(tmp_path / "esc", clips=4)))
    first = component.external_digests()
    assert component.external_digests() == first
    clip = next((tmp_path / "esc" / "audio").iterdir())
    os.utime(clip, (1, 1))
    touched = component.external_digests()
    corpora.write_tone(tmp_path / "esc" / "audio" / "new.ogg")
    assert len({first["source"], touched["source"], component.external_digests()["source"]}) == 3
    assert gen().external_digests() == {}


def test_a_file_name_that_is_not_utf8_costs_that_file_alone(tmp_path):
    folder = corpora.esc50(tmp_path / "esc", clips=4)
    digest = gen(source=str(folder)).external_digests()
    bad = os.fsencode(folder / "audio") + b"/caf\xe9.ogg"
    with open(bad, "wb") as file:
        file.write(next((folder / "audio").iterdir()).read_bytes())
    assert gen(source=str(folder)).external_digests() != digest
    run = harness.execute(gen(source=str(folder)), tmp_path / "run")
    assert run.result.summary.endswith("1 quarantined (1 unreadable)")
    with (run.outputs["examples"] / "quarantine.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["path"], row["cause"]) == ("audio/caf\\xe9.ogg", "unreadable")
    assert row["message"] == "its name is not UTF-8; rename the file"
    assert run.result.figures["clips"] == 4


def test_fingerprint_of_a_manifest(tmp_path):
    corpora.write_tone(tmp_path / "clips" / "a.wav")
    manifest = tmp_path / "list.csv"
    digests = []
    for content in ("path\nclips/a.wav\n", "path\nclips/a.wav\nclips/b.wav\n", "no header\n", b"path\n\xff\n"):
        manifest.write_bytes(content if isinstance(content, bytes) else content.encode())
        digests.append(gen(source=str(manifest)).external_digests()["source"])
    manifest.write_text("path\nclips/a.wav\nclips/b.wav\n")
    assert gen(source=str(manifest)).external_digests()["source"] == digests[1]
    corpora.write_tone(tmp_path / "clips" / "b.wav")
    digests.append(gen(source=str(manifest)).external_digests()["source"])
    assert len(set(digests)) == 5


def test_fingerprint_of_a_bucket_asks_for_names_and_lists_alone(tmp_path, monkeypatch):
    folder = corpora.audioset(tmp_path / "as", train=4)
    audio = folder / "audio" / f"{corpora.ytid(0)}_0.wav"
    list_names, path = source_digest.files.names, source_digest.epath.Path
    monkeypatch.setattr(source_digest.epath, "Path", lambda name: folder if name == "gs://bucket/as" else path(name))
    monkeypatch.setattr(source_digest.files, "names", lambda url: list_names(str(folder)))
    digests = [source_digest.digest("gs://bucket/as")]
    audio.write_bytes(b"another sound")  # whose size and time nobody asks for
    assert source_digest.digest("gs://bucket/as") == digests[0]
    audio.with_name("new.wav").write_bytes(b"")
    digests.append(source_digest.digest("gs://bucket/as"))
    with (folder / "eval_segments.csv").open("a") as file:
        file.write("# another line\n")
    digests.append(source_digest.digest("gs://bucket/as"))
    assert len(set(digests)) == 3


class TestErrors:
    @pytest.mark.parametrize(
        ("name", "message"), [("nowhere", "there is no folder"), ("empty", "is empty"), ("a.wav", "is a file")]
    )
    def test_check_of_the_source(self, tmp_path, name, message):
        (tmp_path / "empty").mkdir()
        (tmp_path / "a.wav").write_bytes(b"")
        with pytest.raises(UserError, match=rf"audio_example_gen.source: .*{name}.*--data") as caught:
            gen(source=str(tmp_path / name)).check()
        assert message in str(caught.value)

    def test_place_of_an_unknown_kind(self):
        with pytest.raises(UserError, match=r"audio_example_gen.source: foo://x cannot be read .*--data"):
            gen(source="foo://x").check()

    def test_nothing_connected(self, tmp_path):
        with pytest.raises(UserError, match="audio_example_gen.source is not set"):
            harness.execute(gen(), tmp_path / "run")

    def test_no_audio(self, tmp_path):
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "notes.txt").write_text("")
        with pytest.raises(UserError, match="no audio in"):
            harness.execute(gen(source=str(tmp_path / "source")), tmp_path / "run")

    def test_no_decodable_clip(self, tmp_path):
        (tmp_path / "source").mkdir()
        for i in range(3):
            (tmp_path / "source" / f"{i}.wav").write_bytes(b"no audio")
        with pytest.raises(
            UserError,
            match=r"no decodable clip in .*source: all 3 .*3 unreadable.*because: [^/]* / [^/]*; give a folder",
        ):
            harness.execute(gen(source=str(tmp_path / "source")), tmp_path / "run")

    def test_lists_without_their_files(self, tmp_path):
        source = corpora.audioset(tmp_path / "as", train=2, evaluation=1)
        for i, clip in enumerate(sorted((source / "audio").iterdir())):
            clip.rename(clip.with_name(f"{i}.wav"))
        with pytest.raises(
            UserError, match=r"no clip of the lists in .* can be used: 3 missing, .*no file for this row"
        ):
            harness.execute(gen(source=str(source)), tmp_path / "run")

    def test_flags_that_beam_refuses(self, tmp_path):
        source = str(corpora.esc50(tmp_path / "esc", clips=4))
        with pytest.raises(UserError, match=r"audio_example_gen.beam_args: Beam does not accept '--runner=Foo'"):
            harness.execute(gen(source=source, beam_args=["--runner=Foo"]), tmp_path / "run")

    def test_lists_that_name_no_clip(self, tmp_path):
        source = corpora.audioset(tmp_path / "as", train=2, evaluation=1)
        for table in source.glob("*_segments.csv"):
            table.write_text("# three\n# comment\n# lines\n")
        with pytest.raises(UserError, match=r"the lists in .*as name no clip; put"):
            harness.execute(gen(source=str(source)), tmp_path / "run")

    def test_label_of_no_known_class(self, tmp_path):
        source = corpora.audioset(tmp_path / "as")
        (source / "class_labels_indices.csv").write_text("index,mid,display_name\n0,/m/09x0r,Speech\n")
        with pytest.raises(UserError, match=r"segments.csv:4: the label '/t/dd00001' is not a class of"):
            harness.execute(gen(source=str(source)), tmp_path / "run")


def test_importing_it_is_light():
    code = (
        "import sys; from components import audio_example_gen as a, statistics_gen, example_validator;"
        "from components import synthetic_audio_gen;"
        "a.AudioExampleGen().check();"
        "print([m for m in ('tensorflow', 'apache_beam', 'matplotlib', 'scipy', 'numpy') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_interrupt_ends_it_soon_and_publishes_nothing(tmp_path):
    """One clip is a named pipe that never gives a byte: a job that waits for it must still answer Ctrl-C."""
    source = corpora.esc50(tmp_path / "esc", clips=6)
    held = next((source / "audio").iterdir())
    held.unlink()
    os.mkfifo(held)
    code = (
        # Whoever runs the tests in the background has SIGINT ignored, for every child.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "import sys, pathlib; from tests.components import harness;"
        "from components.audio_example_gen import AudioExampleGen, AudioExampleGenConfig as C;"
        "harness.execute(AudioExampleGen(C(source=sys.argv[1], shards=2)), pathlib.Path(sys.argv[2]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(source), str(tmp_path / "run")], stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "run" / "work").glob("*.writing")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert "KeyboardInterrupt" in messages
    assert not list((tmp_path / "run" / "outputs" / "examples").iterdir())


@pytest.mark.slow
@pytest.mark.skipif(not ESC50.exists(), reason=f"ESC-50 is not at {ESC50}")
def test_no_clip_of_the_real_esc50_is_lost(tmp_path):
    run = harness.execute(gen(source=str(ESC50)), tmp_path / "run")
    info = examples.read_info(run.outputs["examples"])
    assert sum(info.splits.values()) == 2000
    assert len(info.label_names) == 50
    assert run.result.figures["quarantined"] == 0
    counts = {}
    for split in info.splits:
        for clip in examples.dataset(info.directory, split).as_numpy_iterator():
            assert clip["audio"].size == 80000
            key = (int(clip["fold"]), int(clip["labels"][0]))
            counts[key] = counts.get(key, 0) + 1
    assert set(counts.values()) == {8}  # 5 folds of 8 clips of each of the 50 classes
    assert len(counts) == 250
