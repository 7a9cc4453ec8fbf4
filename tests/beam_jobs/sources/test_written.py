"""From a source to shards: what the listing says of a clip is what is written of it."""

import numpy as np
import soundfile

from beam_jobs import audio, examples, sources
from beam_jobs.ingest import job as shard_audio
from tests.beam_jobs.sources import tfds_datasets as tiny

RATE = 16000


def written(source, work, **options):
    """(examples by clip id, ids and causes of the quarantined)."""
    listing = sources.list_clips(source)
    plan = shard_audio.plan_shards(listing.clips, sample_rate=RATE, shards=3)
    job = shard_audio.Job(
        source=listing.root,
        label_names=listing.label_names,
        sample_rate=RATE,
        rules=audio.Rules(min_seconds=0.0),
        **options,
    )
    records = shard_audio.write_shards(plan, job=job, work_dir=work)
    stored = [e for r in records for e in examples.read_file(str(work / r.file)).as_numpy_iterator()]
    quarantined = [(q["clip_id"], q["path"], q["cause"]) for record in records for q in record.quarantined]
    return {example["clip_id"].decode(): example for example in stored}, quarantined


def test_a_manifest(tmp_path):
    sound = tiny.noise(0, size=3 * RATE)
    elsewhere = tmp_path / "elsewhere" / "b.flac"
    for path in (tmp_path / "corpus" / "sub" / "a.wav", elsewhere):
        path.parent.mkdir(parents=True)
        soundfile.write(path, sound, RATE)
    (tmp_path / "corpus" / "clips.csv").write_text(
        "path,start,end,labels,split,fold\n"
        "sub/a.wav,,,rain;wind,train,3\n"
        "sub/a.wav,0,2.5,wind,valid,\n"
        f"{elsewhere},2.5,3,,eval,\n"
        "sub/gone.wav,,,rain,,\n"
    )
    stored, quarantined = written(tmp_path / "corpus" / "clips.csv", tmp_path / "work", max_seconds=1.5)
    first, second = stored["sub/a.wav@0.00"], stored["sub/a.wav@1.50"]
    np.testing.assert_array_equal(np.concatenate([first["audio"], second["audio"]]), sound)
    assert (first["labels"].tolist(), first["fold"], second["start_s"]) == ([0, 1], 3, 1.5)
    segment, last = stored["sub/a.wav@0-2.5"], stored[f"{elsewhere}@2.5-3"]
    np.testing.assert_array_equal(segment["audio"], sound[: 5 * RATE // 2])
    np.testing.assert_array_equal(last["audio"], sound[5 * RATE // 2 :])
    assert (segment["labels"].tolist(), last["labels"].tolist(), last["start_s"]) == ([1], [], 2.5)
    assert quarantined == [("sub/gone.wav", "sub/gone.wav", "missing")]
    assert len(stored) == 4


def test_a_tfds_dataset(tmp_path):
    sounds = [tiny.flac(tiny.noise(i)) for i in range(2 * tiny.PER_FILE + 3)]
    sounds[7] = sounds[7][:20]
    folder = tiny.lazy_flac(tmp_path / "ds", sounds)
    stored, quarantined = written(folder, tmp_path / "work")
    assert quarantined == [("train/7", "train[7] été 7.flac", "unreadable")]
    assert len(stored) == len(sounds) - 1
    for i in (0, tiny.PER_FILE, len(sounds) - 1):
        np.testing.assert_array_equal(stored[f"train/{i}"]["audio"], tiny.noise(i))
        assert stored[f"train/{i}"]["labels"].tolist() == sorted({i % 3, 2})
        assert stored[f"train/{i}"]["source"].decode() == f"train[{i}] été {i}.flac"


def test_samples_of_a_tfds_dataset(tmp_path):
    folder = tiny.speech_commands(tmp_path / "ds", counts={"train": 50, "validation": 3, "test": 4})
    stored, quarantined = written(folder, tmp_path / "work")
    assert quarantined == []
    assert len(stored) == 57
    for clip_id, example in stored.items():
        number = int(clip_id.split("/")[1])
        np.testing.assert_array_equal(example["audio"], tiny.noise(number))
        assert example["labels"].tolist() == [number % 3]
