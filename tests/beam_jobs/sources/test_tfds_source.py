import os

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from beam_jobs import audio, examples, sources
from beam_jobs.sources import tfds_reader
from tests.beam_jobs.sources import tfds_datasets
from tests.beam_jobs.sources.tfds_datasets import CLASSES, PER_FILE, SAMPLE_RATE, noise


def decode(sound):
    return audio.decode_clip(sound, sample_rate=SAMPLE_RATE, rules=audio.Rules(min_seconds=0.0)).samples


def test_splits_are_recognized_by_their_names(tmp_path):
    folder = tfds_datasets.speech_commands(tmp_path / "ds", counts={"train": 300, "validation": 5, "test": 7})
    listing = sources.list_clips(folder)
    assert (listing.layout, listing.root, listing.label_names) == ("tfds", str(folder), tuple(CLASSES))
    assert [clip.clip_id for clip in listing.clips[299:302]] == ["train/299", "validation/0", "validation/1"]
    assert {clip.path: clip.split for clip in listing.clips} == {
        "train": "train",
        "validation": "valid",
        "test": "eval",
    }
    assert len(listing.clips) == 312
    assert all(clip.record is not None and not clip.labels for clip in listing.clips)


def test_without_a_validation_split_a_part_of_the_train_split_becomes_valid(tmp_path):
    listing = sources.list_clips(tfds_datasets.speech_commands(tmp_path / "ds", counts={"train": 300, "extra": 2}))
    assert all(clip.split == sources.split_of(clip.clip_id) for clip in listing.clips)
    assert {clip.split for clip in listing.clips} == {"train", "valid"}
    assert listing.ignored == {"records of the split 'extra'": 2}


def test_a_dataset_with_other_splits_only_is_an_error(tmp_path):
    folder = tfds_datasets.speech_commands(tmp_path / "ds", counts={"part1": 3, "part2": 2})
    with pytest.raises(sources.SourceError) as raised:
        sources.list_clips(folder)
    assert str(raised.value) == (
        f"no split of the TFDS dataset in {folder} is read (part1, part2), because names of splits must begin with "
        "train, val, dev, test, eval; prepare the dataset with such names"
    )


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64])
def test_integers_of_any_width_hold_16_bit_samples(tmp_path, dtype):
    folder = tfds_datasets.speech_commands(tmp_path / "ds", counts={"train": 5}, dtype=dtype)
    for i, (clip, sound) in enumerate(tfds_reader.read(folder, sources.list_clips(folder).clips)):
        np.testing.assert_array_equal(decode(sound), noise(i))
        assert (clip.labels, clip.path) == ((CLASSES[i % 3],), f"train[{i}]")


@pytest.mark.parametrize(
    ("dtype", "stored", "expected"),
    [
        (np.float32, [0.5, -1.0, 2.0], [16384, -32768, 32767]),
        (np.float16, [0.5, -1.0, 0.25], [16384, -32768, 8192]),
        (np.float64, [0.5, -1.0, 0.25], [16384, -32768, 8192]),
        (np.uint8, [0, 128, 255], [-32768, 0, 32512]),
        (np.uint16, [0, 32768, 65535], "unreadable"),
        (np.int64, [40000, 0, 0], "unreadable"),
        (np.float32, [np.nan, 0.0, 0.0], "non-finite"),
    ],
)
def test_samples_of_other_types(tmp_path, dtype, stored, expected):
    feature = tfds.features.Audio(sample_rate=SAMPLE_RATE, dtype=dtype)
    folder = tfds_datasets.write(tmp_path / "ds", {"train": [{"audio": np.array(stored, dtype)}]}, audio=feature)
    ((_, sound),) = tfds_reader.read(folder, sources.list_clips(folder).clips)
    if not isinstance(expected, str):
        np.testing.assert_array_equal(decode(sound), expected)
        return
    with pytest.raises(audio.DecodeError) as caught:
        raise sound if isinstance(sound, audio.DecodeError) else AssertionError(decode(sound))
    assert caught.value.cause == expected


def test_any_selection_of_clips_is_read_in_order_across_files(tmp_path):
    folder = tfds_datasets.speech_commands(tmp_path / "ds", counts={"train": 3 * PER_FILE + 5, "test": 3})
    clips = sources.list_clips(folder).clips
    chosen = [clips[i] for i in (3, 4, PER_FILE - 1, PER_FILE, 2 * PER_FILE + 7, 3 * PER_FILE + 4, -2)]
    read = list(tfds_reader.read(folder, chosen))
    assert [clip.clip_id for clip, _ in read] == [clip.clip_id for clip in chosen]
    for clip, sound in read:
        np.testing.assert_array_equal(decode(sound), noise(clip.record))


@pytest.mark.parametrize("channels", [1, 2])
def test_lazily_decoded_flac_gives_the_samples_that_tfds_gives(tmp_path, channels):
    folder = tfds_datasets.lazy_flac(
        tmp_path / "ds", [tfds_datasets.flac(noise(i, channels=channels)) for i in range(50)], channels=channels
    )
    listing = sources.list_clips(folder)
    assert listing.label_names == tuple(CLASSES)
    read = list(tfds_reader.read(folder, listing.clips))
    expected_records = tfds.builder_from_directory(folder).as_dataset(
        split="train", read_config=tfds.ReadConfig(interleave_cycle_length=1)
    )
    for i, ((clip, sound), record) in enumerate(zip(read, expected_records.as_numpy_iterator(), strict=True)):
        expected = np.rint(record["speech"].reshape(-1, channels).astype(np.float64).mean(axis=1))
        np.testing.assert_allclose(decode(sound), expected, atol=channels - 1)
        assert clip.path == f"train[{i}] été {i}.flac"
        assert clip.labels == tuple(CLASSES[k] for k in dict.fromkeys(record["tags"]))


def test_a_damaged_flac_file_makes_only_its_own_record_unreadable(tmp_path):
    sounds = [tfds_datasets.flac(noise(i)) for i in range(4)]
    sounds[1], sounds[2] = b"no flac at all", b""
    folder = tfds_datasets.lazy_flac(tmp_path / "ds", sounds)
    read = [sound for _, sound in tfds_reader.read(folder, sources.list_clips(folder).clips)]
    np.testing.assert_array_equal(decode(read[0]), noise(0))
    np.testing.assert_array_equal(decode(read[3]), noise(3))
    for sound in read[1:3]:
        with pytest.raises(audio.DecodeError) as caught:
            decode(sound)
        assert caught.value.cause == "unreadable"


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_tfrecord_makes_the_clips_behind_the_damage_unreadable(tmp_path, damage):
    folder = tfds_datasets.speech_commands(tmp_path / "ds", counts={"train": 2 * PER_FILE})
    file = sorted(folder.glob("*train*"))[0]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    read = list(tfds_reader.read(folder, sources.list_clips(folder).clips))
    assert [clip.record for clip, _ in read] == list(range(2 * PER_FILE))
    unreadable = [clip.record for clip, sound in read if isinstance(sound, audio.DecodeError)]
    assert unreadable == list(range(unreadable[0], PER_FILE))
    assert (unreadable[0] > 0) == (damage != "gone")
    assert {sound.cause for _, sound in read if isinstance(sound, audio.DecodeError)} == {"unreadable"}


def test_a_tfrecord_that_is_a_pipe_is_never_opened(tmp_path):
    folder = tfds_datasets.speech_commands(tmp_path / "ds", counts={"train": 2 * PER_FILE})
    first, _ = sorted(folder.glob("*train*tfrecord*"))
    first.unlink()
    os.mkfifo(first)
    clips = sorted(sources.list_clips(folder).clips, key=lambda clip: clip.record)
    sounds = [sound for _, sound in tfds_reader.read(folder, clips)]
    refused, read = sounds[:PER_FILE], sounds[PER_FILE:]
    assert {str(error) for error in refused} == {"it is a pipe, a socket or a device, not a file"}
    assert all(isinstance(sound, bytes) for sound in read)


@pytest.mark.parametrize("storage", examples.STORAGES)
def test_stored_examples_can_be_a_source(tmp_path, storage):
    with tf.io.TFRecordWriter(str(tmp_path / examples.file_name("train", shard=0, shards=1))) as writer:
        writer.write(
            examples.encode(audio=noise(1), clip_id="abc_30", labels=[2, 0], storage=storage, sample_rate=SAMPLE_RATE)
        )
    examples.write_metadata(
        tmp_path,
        shard_lengths={"train": [1]},
        shard_bytes={"train": 1},
        label_names=CLASSES,
        sample_rate=SAMPLE_RATE,
        has_folds=False,
        description="one clip",
        storage=storage,
    )
    ((clip, sound),) = tfds_reader.read(tmp_path, sources.list_clips(tmp_path).clips)
    np.testing.assert_array_equal(decode(sound), noise(1))
    assert (clip.path, clip.labels) == ("train[0] abc_30", (CLASSES[0], CLASSES[2]))


class TestErrors:
    def test_no_audio_feature(self, tmp_path):
        folder = tfds_datasets.write(tmp_path / "ds", {"train": [{"text": "a"}]}, text=tfds.features.Text())
        with pytest.raises(sources.SourceError, match="the TFDS dataset in .* has no Audio feature"):
            sources.list_clips(folder)

    def test_no_sample_rate(self, tmp_path):
        folder = tfds_datasets.write(
            tmp_path / "ds", {"train": [{"audio": noise(0)}]}, audio=tfds.features.Audio(dtype=np.int16)
        )
        with pytest.raises(sources.SourceError, match="features.json gives no sample rate for 'audio'"):
            sources.list_clips(folder)

    def test_broken_metadata(self, tmp_path):
        folder = tfds_datasets.speech_commands(tmp_path / "ds", counts={"train": 1})
        (folder / "dataset_info.json").write_text("{")
        with pytest.raises(sources.SourceError, match="does not open as a TFDS dataset"):
            sources.list_clips(folder)

    def test_the_folder_above_the_dataset(self, tmp_path):
        folder = tfds_datasets.speech_commands(tmp_path / "tiny" / "1.0.0", counts={"train": 1})
        with pytest.raises(sources.SourceError, match=f"there is no audio in .*, or the TFDS dataset in {folder}"):
            sources.list_clips(tmp_path / "tiny")
