import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs import examples
from beam_jobs.examples import samples


def write(folder, *, lengths, label_names=("dog", "rain"), has_folds=True, storage="pcm"):
    """Writes files of `lengths` clips each. The samples of every clip are its number."""
    number = 0
    for split, counts in lengths.items():
        for shard, count in enumerate(counts):
            name = examples.file_name(split, shard=shard, shards=len(counts))
            with tf.io.TFRecordWriter(str(folder / name)) as writer:
                for _ in range(count):
                    audio = np.full(10 + number, number, np.int16)
                    labels = [number % len(label_names)] if label_names else []
                    writer.write(
                        examples.encode(audio=audio, clip_id=f"c{number}", labels=labels, fold=1, storage=storage)
                    )
                    number += 1
    examples.write_metadata(
        folder,
        shard_lengths=lengths,
        shard_bytes=dict.fromkeys(lengths, 1),
        label_names=label_names,
        sample_rate=16000,
        has_folds=has_folds,
        description="test",
        storage=storage,
    )


@settings(deadline=None, max_examples=30)
@given(
    audio=st.lists(st.integers(-32768, 32767), min_size=1, max_size=50),
    labels=st.sets(st.integers(0, 526)),
    clip_id=st.text(st.characters(codec="utf-8"), max_size=20),
    fold=st.integers(0, 5),
    start_s=st.floats(0, 1e5, width=32),
    storage=st.sampled_from(examples.STORAGES),
    rate=st.integers(8000, 48000),
)
def test_encode_and_parse_round_trip(audio, labels, clip_id, fold, start_s, storage, rate):
    audio = np.array(audio, np.int16)
    serialized = examples.encode(
        audio=audio,
        clip_id=clip_id,
        labels=list(labels),
        fold=fold,
        start_s=start_s,
        source="a/b.wav",
        source_codec="wav/pcm_16",
        source_rate=rate,
        storage=storage,
        sample_rate=rate,
    )
    parsed = examples.parse(tf.constant(serialized), storage=storage)
    assert parsed["audio"].dtype == tf.int16
    np.testing.assert_array_equal(parsed["audio"], audio)
    assert parsed["labels"].numpy().tolist() == sorted(labels)
    assert parsed["clip_id"].numpy().decode() == clip_id
    assert parsed["fold"].numpy() == fold
    assert parsed["start_s"].numpy() == np.float32(start_s)
    assert parsed["source"].numpy() == b"a/b.wav"
    assert parsed["source_codec"].numpy() == b"wav/pcm_16"
    assert parsed["source_rate"].numpy() == rate


@pytest.mark.parametrize("audio", [np.zeros(3), np.zeros((3, 1), np.int16)])
def test_encode_refuses_audio_that_is_not_16_bit_mono(audio):
    with pytest.raises(ValueError, match="must be int16"):
        examples.encode(audio=audio, clip_id="a")


def test_info_and_order_of_written_examples(tmp_path):
    write(tmp_path, lengths={"train": [2, 3], "eval": [1]})
    info = examples.read_info(tmp_path)
    assert info.splits == {"train": 5, "eval": 1}
    assert info.label_names == ("dog", "rain")
    assert info.sample_rate == 16000
    assert info.has_folds
    assert info.storage == "pcm"
    assert info.shard_lengths == {"train": (2, 3), "eval": (1,)}
    assert len(info.files("train")) == 2
    with pytest.raises(KeyError, match="no split 'valid'"):
        info.files("valid")
    ids = [clip["clip_id"].decode() for clip in examples.dataset(tmp_path, "train").as_numpy_iterator()]
    assert ids == ["c0", "c1", "c2", "c3", "c4"]


def test_shuffled_files_give_every_clip_once_in_a_repeatable_order(tmp_path):
    write(tmp_path, lengths={"train": [3] * 6})

    def read(seed):
        return [
            clip["clip_id"].decode()
            for clip in examples.dataset(tmp_path, "train", shuffle_files=True, seed=seed).as_numpy_iterator()
        ]

    assert sorted(read(1)) == sorted(f"c{i}" for i in range(18))
    assert read(1) == read(1)
    assert any(read(1) != read(seed) for seed in (2, 3, 4))


@pytest.mark.parametrize("storage", examples.STORAGES)
def test_tfds_opens_the_folder(tmp_path, storage):
    write(tmp_path, lengths={"train": [4, 4], "valid": [2]}, storage=storage)
    builder = tfds.builder_from_directory(str(tmp_path))
    assert builder.info.splits["train"].num_examples == 8
    assert builder.info.splits["train"].shard_lengths == [4, 4]
    assert builder.info.features["labels"].feature.names == ["dog", "rain"]
    assert builder.info.features["audio"].sample_rate == 16000
    assert all(feature.doc.desc for feature in builder.info.features.values())
    tenth = list(builder.as_dataset(split="train[:10%]").as_numpy_iterator())
    assert [clip["clip_id"] for clip in tenth] == [b"c0"]
    half = list(builder.as_dataset(split="train[50%:]").as_numpy_iterator())
    assert [clip["clip_id"] for clip in half] == [b"c4", b"c5", b"c6", b"c7"]
    np.testing.assert_array_equal(half[0]["audio"], np.full(14, 4, np.int16))


@pytest.mark.parametrize("storage", examples.STORAGES)
def test_dataset_and_read_file_give_the_same_samples(tmp_path, storage):
    write(tmp_path, lengths={"train": [3]}, storage=storage)
    info = examples.read_info(tmp_path)
    assert info.storage == storage
    for clips in (examples.dataset(tmp_path, "train"), examples.read_file(info.files("train")[0], storage=storage)):
        for number, clip in enumerate(clips.as_numpy_iterator()):
            np.testing.assert_array_equal(clip["audio"], np.full(10 + number, number, np.int16))


@settings(deadline=None, max_examples=20)
@given(
    length=st.integers(1, 20000),
    start=st.integers(0, 20000),
    count=st.integers(1, 20000),
    storage=st.sampled_from(examples.STORAGES),
)
def test_a_decoded_part_equals_that_part_of_the_clip(length, start, count, storage):
    audio = np.random.default_rng(length).normal(scale=2000, size=length).astype(np.int16)
    start = min(start, length - 1)
    count = min(count, length - start)
    encoded = tf.constant(samples.encode(audio, storage=storage, sample_rate=16000))
    assert samples.length(encoded, storage=storage) == length
    np.testing.assert_array_equal(samples.decode(encoded, storage=storage), audio)
    part = samples.decode_part(encoded, start=start, samples=count, storage=storage)
    np.testing.assert_array_equal(part, audio[start : start + count])


def test_names_of_classes_may_hold_what_python_takes_for_the_end_of_a_line(tmp_path):
    names = tuple(f"a{mark}b" for mark in "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e\t ")
    write(tmp_path, lengths={"train": [2]}, label_names=names)
    assert examples.read_info(tmp_path).label_names == names
    assert tuple(tfds.builder_from_directory(str(tmp_path)).info.features["labels"].feature.names) == names


def test_labels_and_folds_are_optional(tmp_path):
    write(tmp_path, lengths={"train": [2]}, label_names=(), has_folds=False)
    info = examples.read_info(tmp_path)
    assert info.label_names == ()
    assert not info.has_folds
    clip = next(iter(tfds.builder_from_directory(str(tmp_path)).as_dataset(split="train")))
    assert clip["labels"].shape == (0,)


def test_read_info_does_not_import_heavy_libraries(tmp_path):
    write(tmp_path, lengths={"train": [1]})
    program = "import sys; from beam_jobs import examples; examples.read_info(sys.argv[1]); print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    modules = set(result.stdout.split())
    assert "beam_jobs.examples.info" in modules
    assert not modules & {"tensorflow", "tensorflow_datasets", "apache_beam"}


def test_every_public_name_can_be_imported():
    for name in examples.__all__:
        assert getattr(examples, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        _ = examples.missing


def test_quiet_tfds_hides_warnings_in_one_thread_until_it_ends(caplog):
    is_quiet, may_end = threading.Event(), threading.Event()

    def warn_quietly():
        with examples.quiet_tfds():
            logging.warning("in the other thread, while it is quiet")
            is_quiet.set()
            may_end.wait(10)

    thread = threading.Thread(target=warn_quietly)
    with examples.quiet_tfds():
        thread.start()
        assert is_quiet.wait(10)
        logging.warning("in this thread, while it is quiet")
        logging.error("an error")
    logging.warning("in this thread, while the other one is quiet")
    may_end.set()
    thread.join()
    logging.warning("after both")
    expected = ["an error", "in this thread, while the other one is quiet", "after both"]
    assert [record.getMessage() for record in caplog.records] == expected
