"""Checks that a shard holds what the listing says about its clips."""

import numpy as np
import pytest
import soundfile

from beam_jobs import audio
from tests.beam_jobs.ingest.ingest_source import SAMPLE_RATE, ingest, read
from tests.beam_jobs.sources import tfds_datasets

pytestmark = pytest.mark.usefixtures("kept_decoders")


def write_and_read(source, work, **options):
    """Returns the examples by clip id, and (clip id, path, cause) of the quarantined clips."""
    written = ingest(source, work, rules=audio.Rules(min_seconds=0.0), **options)
    quarantined = [(q["clip_id"], q["path"], q["cause"]) for record in written for q in record.quarantined]
    return {example["clip_id"].decode(): example for example in read(work, written)}, quarantined


def test_a_manifest(tmp_path):
    sound = tfds_datasets.noise(0, size=3 * SAMPLE_RATE)
    elsewhere = tmp_path / "elsewhere" / "b.flac"
    for path in (tmp_path / "corpus" / "sub" / "a.wav", elsewhere):
        path.parent.mkdir(parents=True)
        soundfile.write(path, sound, SAMPLE_RATE)
    (tmp_path / "corpus" / "clips.csv").write_text(
        "path,start,end,labels,split,fold\n"
        "sub/a.wav,,,rain;wind,train,3\n"
        "sub/a.wav,0,2.5,wind,valid,\n"
        f"{elsewhere},2.5,3,,eval,\n"
        "sub/gone.wav,,,rain,,\n"
    )
    examples, quarantined = write_and_read(tmp_path / "corpus" / "clips.csv", tmp_path / "work", max_seconds=1.5)
    first, second = examples["sub/a.wav@0.00"], examples["sub/a.wav@1.50"]
    np.testing.assert_array_equal(np.concatenate([first["audio"], second["audio"]]), sound)
    assert (first["labels"].tolist(), first["fold"], second["start_s"]) == ([0, 1], 3, 1.5)
    segment, last = examples["sub/a.wav@0-2.5"], examples[f"{elsewhere}@2.5-3"]
    np.testing.assert_array_equal(segment["audio"], sound[: 5 * SAMPLE_RATE // 2])
    np.testing.assert_array_equal(last["audio"], sound[5 * SAMPLE_RATE // 2 :])
    assert (segment["labels"].tolist(), last["labels"].tolist(), last["start_s"]) == ([1], [], 2.5)
    assert quarantined == [("sub/gone.wav", "sub/gone.wav", "missing")]
    assert len(examples) == 4


def test_a_tfds_dataset_of_encoded_files(tmp_path):
    sounds = [tfds_datasets.flac(tfds_datasets.noise(i)) for i in range(2 * tfds_datasets.PER_FILE + 3)]
    sounds[7] = sounds[7][:20]
    folder = tfds_datasets.lazy_flac(tmp_path / "ds", sounds)
    examples, quarantined = write_and_read(folder, tmp_path / "work")
    assert quarantined == [("train/7", "train[7] été 7.flac", "unreadable")]
    assert len(examples) == len(sounds) - 1
    for i in (0, tfds_datasets.PER_FILE, len(sounds) - 1):
        np.testing.assert_array_equal(examples[f"train/{i}"]["audio"], tfds_datasets.noise(i))
        assert examples[f"train/{i}"]["labels"].tolist() == sorted({i % 3, 2})
        assert examples[f"train/{i}"]["source"].decode() == f"train[{i}] été {i}.flac"


def test_a_tfds_dataset_of_samples(tmp_path):
    folder = tfds_datasets.speech_commands(tmp_path / "ds", counts={"train": 50, "validation": 3, "test": 4})
    examples, quarantined = write_and_read(folder, tmp_path / "work")
    assert quarantined == []
    assert len(examples) == 57
    for clip_id, example in examples.items():
        number = int(clip_id.split("/")[1])
        np.testing.assert_array_equal(example["audio"], tfds_datasets.noise(number))
        assert example["labels"].tolist() == [number % 3]
