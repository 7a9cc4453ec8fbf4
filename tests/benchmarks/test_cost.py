import json

from tests.benchmarks import docs

MEASURED = {
    "date": "2026-01-01",
    "machine": {"cores": 2, "cpu": "some"},
    "source": "FLAC, 44100 Hz, mono",
    "one_core": {"cores": 1, "beam_clips_per_s": 100.0, "beam_to_loop": 0.9},
    "all_cores": {"cores": 2, "beam_clips_per_s": 200.0, "beam_to_loop": 0.95},
    "peak_memory_mib": {"1000": 700, "10000": 800},
}
RATES = dict.fromkeys(("written_clips_per_s", "whole_clips_per_s", "crop_pairs_per_s", "tfds_clips_per_s"), 10.0)
STORED = {
    "sounds": "some",
    "pcm": {**RATES, "bytes_per_clip": 320_000},
    "flac": {**RATES, "bytes_per_clip": 160_000},
}


def test_speed_and_time(tmp_path):
    (tmp_path / "ingest.json").write_text(json.dumps(MEASURED))
    (tmp_path / "storage.json").write_text(json.dumps(STORED))
    page = docs.fill("before\n<!-- results:cost -->\nold\n<!-- /results -->\nafter\n", results=tmp_path)
    assert page.startswith("before\n")
    assert page.endswith("<!-- /results -->\nafter\n")
    assert "old" not in page
    text = " ".join(page.split())  # without the line breaks
    # 2,084,320 clips at 100 clips/s on each of 8 * 4 vCPUs take 11 minutes.
    assert "**100.0 clips a second on each core**" in text
    assert "take 16 min for 2,084,320 clips, 5 min of it to start" in text
    assert "0.90 of the speed on one core and 0.95 on 2" in text
    assert "700 MiB with 1,000 clips, 800 MiB with 10,000 clips" in text
    assert "| FLAC | 160,000 | 10/s | 10/s | 10/s | 10/s |" in page
