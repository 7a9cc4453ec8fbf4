"""The bound on the share of quarantined clips, and the description of their causes."""

import collections
import csv

import numpy as np
import pydantic
import pytest
import soundfile

from beam_jobs.ingest import retries
from components.audio_example_gen import AudioExampleGenConfig, quarantine
from components.errors import UserError
from pipeline import digests
from tests import corpora
from tests.components import harness
from tests.components.audio_example_gen.stage import audio_example_gen

pytestmark = pytest.mark.usefixtures("blank_pictures", "kept_decoders")


@pytest.fixture(scope="module")
def half_bad(tmp_path_factory):
    """A source of 12 clips, of which 3 are missing, 2 are unreadable and 1 is silent."""
    source = corpora.audioset(tmp_path_factory.mktemp("half") / "as", train=12, evaluation=0)
    files = [source / "audio" / f"{corpora.ytid(i)}_{10 * i}.wav" for i in range(12)]
    for file in files[:3]:
        file.unlink()
    for file in files[3:5]:
        file.write_bytes(b"bad")
    soundfile.write(files[5], np.zeros(8000), 16000)
    return source


@pytest.mark.parametrize("share", ["5%", "0.05", 0.05])
def test_bound_may_be_a_share_or_a_percentage(share):
    assert AudioExampleGenConfig(max_quarantine=share).max_quarantine == 0.05


@pytest.mark.parametrize("wrong", ["5", "120%", "many%", -0.1])
def test_bound_must_be_between_0_and_1(wrong):
    with pytest.raises(pydantic.ValidationError, match="max_quarantine"):
        AudioExampleGenConfig(max_quarantine=wrong)


def test_report_keeps_the_rows_of_names_with_line_breaks(tmp_path):
    """On Linux, names of files may hold any of these."""
    rows = [dict.fromkeys(quarantine.COLUMNS, cell) for cell in ("a\rb.wav", "a\nb.wav", 'a"b, c.wav', "d.wav")]
    quarantine.write_report(tmp_path, rows)
    with (tmp_path / quarantine.REPORT).open(newline="") as file:
        assert list(csv.DictReader(file)) == rows


@pytest.mark.parametrize("seconds", [0, 1e7])
def test_time_limit_is_at_most_a_day(seconds):
    with pytest.raises(pydantic.ValidationError, match="clip_timeout_seconds"):
        AudioExampleGenConfig(clip_timeout_seconds=seconds)


def test_stage_fails_above_the_bound_after_it_has_decoded_all_clips(half_bad, tmp_path):
    with pytest.raises(UserError) as caught:
        harness.execute(audio_example_gen(source=str(half_bad), max_quarantine="49%"), tmp_path / "run")
    work = tmp_path / "run" / "work"
    report = work / "quarantine.csv"
    assert str(caught.value).startswith(
        "6 of 12 clips (50.0%) were quarantined, more than audio_example_gen.max_quarantine=0.49: 3 missing, "
        f"2 unreadable, 1 silent; {report} lists each with its reason"
    )
    with report.open() as file:
        assert len(list(csv.DictReader(file))) == 6
    assert not list((tmp_path / "run" / "outputs" / "examples").iterdir())
    # The next run publishes the shards without decoding again.
    shards = {path.name: path.stat().st_mtime_ns for path in work.glob("*.tfrecord*")}
    run = harness.execute(audio_example_gen(source=str(half_bad), max_quarantine="50%"), tmp_path / "run")
    assert {path.name: path.stat().st_mtime_ns for path in work.glob("*.tfrecord*")} == shards
    assert run.result.figures["listed"] == 12
    assert run.result.figures["clips"] == 6


def test_stage_succeeds_without_a_bound_and_its_result_is_checked_against_a_later_bound(half_bad, tmp_path):
    run = harness.execute(audio_example_gen(source=str(half_bad)), tmp_path / "run")
    assert run.result.summary.endswith("6 quarantined (3 missing, 2 unreadable, 1 silent)")
    assert {"quarantined/all", "quarantined/missing", "quarantine/causes", "quarantine"} <= run.tags()
    assert run.progress.figures[-1] == {"quarantined": 6}
    audio_example_gen(max_quarantine="50%").check_reused(outputs=run.outputs, figures=run.result.figures)
    with pytest.raises(UserError, match=r"6 of 12.*3 missing, 2 unreadable, 1 silent; .*examples/quarantine.csv"):
        audio_example_gen(max_quarantine="49%").check_reused(outputs=run.outputs, figures=run.result.figures)


def test_causes_are_described_most_frequent_first():
    counts = collections.Counter({"silent": 2, "missing": 1200, "too short": 1, "timed out": 1})
    assert quarantine.describe(counts) == "1,200 missing, 2 silent, 1 too short, 1 timed out"
    assert quarantine.describe(counts, limit=2) == "1,200 missing, 2 silent, 2 others"
    assert quarantine.from_figures({"clips": 7, **quarantine.to_figures(counts)}) == counts


def test_another_reason_for_quarantine_does_not_change_the_content_of_the_examples(half_bad, tmp_path):
    component = audio_example_gen(source=str(half_bad))
    first = harness.execute(component, tmp_path / "1").outputs["examples"]
    damaged = next(file for file in (half_bad / "audio").iterdir() if file.read_bytes() == b"bad")
    damaged.unlink()
    second = harness.execute(component, tmp_path / "2").outputs["examples"]
    damaged.write_bytes(b"bad")
    assert (first / "quarantine.csv").read_text() != (second / "quarantine.csv").read_text()
    one, two = (digests.content_digest(folder, reports=component.reports) for folder in (first, second))
    assert one == two


def test_clips_that_failed_for_passing_reasons_are_left_to_the_next_run(tmp_path, monkeypatch):
    monkeypatch.setattr(retries, "_PAUSES_S", ())
    source = corpora.esc50(tmp_path / "esc", clips=6)
    endless, damaged, *_ = (source / "audio").iterdir()
    corpora.write_silence(endless, hours=12)  # takes longer to decode than the clip may
    damaged.write_bytes(b"bad")
    stage = audio_example_gen(source=str(source), shards=2, clip_timeout_seconds=0.5)
    run = harness.execute(stage, tmp_path / "run")
    assert "1 timed out" in run.result.summary
    assert run.result.summary.endswith("; the next run tries 1 of them again")
    assert stage.unfinished(run.result.figures) == "1 clip of the last run timed out, crashed or could not be read"
    # Without a change, the next run publishes the same bytes, so that no other stage runs.
    before = corpora.contents(run.outputs["examples"])
    again = harness.execute(stage, tmp_path / "run")
    assert again.result == run.result
    assert corpora.contents(again.outputs["examples"]) == before
    last = harness.execute(stage, tmp_path / "run")
    assert last.result.summary.endswith("; 1 failed in 3 runs, and only --force tries it again")
    assert stage.unfinished(last.result.figures) == ""
    assert corpora.contents(last.outputs["examples"]) == before


def test_damage_leaves_nothing_to_the_next_run(half_bad, tmp_path):
    stage = audio_example_gen(source=str(half_bad))
    run = harness.execute(stage, tmp_path / "run")
    assert stage.unfinished(run.result.figures) == ""
    assert "next run" not in run.result.summary
