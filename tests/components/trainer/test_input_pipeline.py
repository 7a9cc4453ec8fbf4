import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from beam_jobs import examples
from beam_jobs.examples import samples
from components.errors import UserError
from components.trainer import input_pipeline

CROP = 100


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(1)  # As the Trainer does.


def write(folder, *, lengths, storage="pcm", shortest=CROP, valid=3):
    """Writes clips that all differ in length.

    Args:
        folder: A new folder.
        lengths: Number of clips in each file of the train split.
        storage: "pcm" or "flac".
        shortest: Samples of the shortest clip.
        valid: Number of clips in the valid split.
    """
    folder = epath.Path(folder)
    folder.mkdir(parents=True)
    number = itertools.count()
    splits = {"train": lengths, "valid": [valid]}
    for split, counts in splits.items():
        for shard, count in enumerate(counts):
            with tf.io.TFRecordWriter(
                str(folder / examples.file_name(split, shard=shard, shards=len(counts)))
            ) as writer:
                for i in itertools.islice(number, count):
                    audio = np.random.default_rng(i).integers(-9000, 9000, shortest + 7 * i).astype(np.int16)
                    writer.write(examples.encode(audio=audio, clip_id=str(i), storage=storage))
    examples.write_metadata(
        folder,
        shard_lengths=splits,
        shard_bytes=dict.fromkeys(splits, 0),
        label_names=(),
        sample_rate=16000,
        has_folds=False,
        description="test",
        storage=storage,
    )
    return folder


def options(*, batch_size=4, crop_samples=CROP, seed=5, clips_per_read=1, short_clips="tile", pairs_per_clip=1):
    return input_pipeline.InputOptions(
        clips_per_read=clips_per_read,
        batch_size=batch_size,
        crop_samples=crop_samples,
        seed=seed,
        short_clips=short_clips,
        pairs_per_clip=pairs_per_clip,
    )


def take(folder, count, *, start_step=0, context=None, **changes):
    """Returns the first batches as NumPy arrays."""
    batches = input_pipeline.training_batches(folder, options(**changes), start_step=start_step, context=context)
    return [{name: value.numpy() for name, value in batch.items()} for batch in batches.take(count)]


def host(number, hosts, *, replicas=None):
    return tf.distribute.InputContext(
        num_input_pipelines=hosts, input_pipeline_id=number, num_replicas_in_sync=replicas or hosts
    )


def ids(batches):
    return [int(i) for batch in batches for i in batch["clip_id"]]


def assert_equal(batches, expected_batches):
    for batch, expected in zip(batches, expected_batches, strict=True):
        for name in expected:
            np.testing.assert_array_equal(batch[name], expected[name])


@pytest.mark.parametrize("short_clips", ["tile", "pad"])
def test_flac_gives_the_same_batches_as_pcm(tmp_path, short_clips):
    folders = [
        write(tmp_path / storage, lengths=[5, 6, 4], storage=storage, shortest=20) for storage in examples.STORAGES
    ]
    assert_equal(*(take(folder, 6, short_clips=short_clips) for folder in folders))
    valid = [
        input_pipeline.validation_batch(folder, options(seed=0, short_clips=short_clips), max_clips=3)
        for folder in folders
    ]
    np.testing.assert_array_equal(valid[0]["a"], valid[1]["a"])


def test_the_batch_to_validate_has_one_pair_of_a_clip(tmp_path):
    folder = write(tmp_path / "data", lengths=[8], valid=5)
    once, twice = (
        input_pipeline.validation_batch(folder, options(pairs_per_clip=pairs), max_clips=9) for pairs in (1, 2)
    )
    assert len(set(twice["clip_id"].numpy())) == 4
    assert all(np.array_equal(once[name], twice[name]) for name in once)


@pytest.mark.parametrize("pairs_per_clip", [1, 2])
def test_shapes_are_static(tmp_path, pairs_per_clip):
    folder = write(tmp_path / "data", lengths=[8])
    batches = input_pipeline.training_batches(folder, options(pairs_per_clip=pairs_per_clip))
    assert batches.element_spec == {
        "a": tf.TensorSpec((4, CROP), tf.int16),
        "b": tf.TensorSpec((4, CROP), tf.int16),
        "clip_id": tf.TensorSpec((4,), tf.string),
    }


def test_long_clips_are_cut_and_short_ones_repeated(tmp_path):
    folder = write(tmp_path / "data", lengths=[16], shortest=30)
    clips = {c["clip_id"]: c["audio"] for c in examples.dataset(folder, "train").as_numpy_iterator()}
    for batch in take(folder, 8):
        for clip_id, a, b in zip(batch["clip_id"], batch["a"], batch["b"], strict=True):
            audio = clips[clip_id]
            source = np.tile(audio, CROP // audio.size + 2) if audio.size < CROP else audio
            places = np.lib.stride_tricks.sliding_window_view(source, CROP)
            assert all((places == crop).all(axis=1).any() for crop in (a, b))


def test_replicas_of_one_host_share_the_global_batches(tmp_path):
    folder = write(tmp_path / "data", lengths=[7, 6, 8])
    whole = take(folder, 7)
    shares = take(folder, 14, context=host(0, 1, replicas=2))
    assert all(batch["a"].shape == (2, CROP) for batch in shares)
    joined = [{k: np.concatenate([a[k], b[k]]) for k in a} for a, b in zip(shares[::2], shares[1::2], strict=True)]
    assert_equal(joined, whole)


def test_what_comes_twice_is_decoded_once(tmp_path, monkeypatch):
    folder, decoded, decode_part = write(tmp_path / "data", lengths=[40, 40]), tf.Variable(0), samples.decode_part

    def count(encoded, **part):
        decoded.assign_add(1)
        return decode_part(encoded, **part)

    monkeypatch.setattr(samples, "decode_part", count)
    steps, parts = 10, 4  # The whole pass, whose batches are not many more than those that are read ahead.
    batches = input_pipeline.training_batches(folder, options(batch_size=8), micro_batch=2, times=2)
    twice = list(batches.take(2 * parts * steps).as_numpy_iterator())
    assert int(decoded) < 2 * 2 * 80  # Two crops of each clip, and what is read ahead for the next pass.
    monkeypatch.undo()
    once = list(
        input_pipeline.training_batches(folder, options(batch_size=8), micro_batch=2)
        .take(parts * steps)
        .as_numpy_iterator()
    )
    for step in range(steps):
        expected = once[parts * step : parts * (step + 1)]
        assert_equal(twice[2 * parts * step : 2 * parts * (step + 1)], expected + expected)


def test_too_few_clips_for_a_batch_is_one_sentence(tmp_path):
    folder = write(tmp_path / "data", lengths=[3, 2])
    with pytest.raises(UserError, match=r"batch_size=8 is more than the 5 clips of the train split: choose at most 5"):
        take(folder, 1, batch_size=8, context=host(0, 2))


def test_a_strategy_distributes_the_batches(tmp_path):
    folder = write(tmp_path / "data", lengths=[8, 8])
    strategy = tf.distribute.MirroredStrategy(["cpu:0"])
    batches = strategy.distribute_datasets_from_function(
        lambda context: input_pipeline.training_batches(folder, options(), context=context)
    )
    batch = {name: value.numpy() for name, value in next(iter(batches)).items()}
    assert_equal([batch], take(folder, 1))


def test_batches_are_repeatable_and_resumable(inputs):
    settings = {"batch_size": 8, "crop_samples": 4000, "seed": 0}
    batches = take(inputs["examples"], 5, **settings)
    assert_equal(take(inputs["examples"], 5, **settings), batches)
    for start in (1, 3):
        assert_equal(take(inputs["examples"], 5 - start, start_step=start, **settings), batches[start:])
    (other,) = take(inputs["examples"], 1, **{**settings, "seed": 1})
    assert not np.array_equal(other["a"], batches[0]["a"])


def test_an_epoch_shows_each_clip_at_most_once_and_the_next_one_has_another_order(inputs):
    batches = take(inputs["examples"], 4, batch_size=8, crop_samples=4000, seed=0)
    epochs = [np.concatenate([batch["clip_id"] for batch in batches[i : i + 2]]).tolist() for i in (0, 2)]
    assert all(len(set(ids)) == 16 for ids in epochs)
    assert epochs[0] != epochs[1]


def test_the_crops_of_a_clip_differ(inputs):
    clips = {clip["clip_id"].numpy(): clip["audio"].numpy() for clip in examples.dataset(inputs["examples"], "train")}
    (batch,) = take(inputs["examples"], 1, batch_size=8, crop_samples=4000, seed=0)
    assert batch["a"].dtype == np.int16
    assert batch["a"].shape == (8, 4000)
    for clip_id, a, b in zip(batch["clip_id"], batch["a"], batch["b"], strict=True):
        places = np.lib.stride_tricks.sliding_window_view(clips[clip_id], 4000)
        assert all((places == crop).all(axis=1).any() for crop in (a, b))
    assert any(not np.array_equal(a, b) for a, b in zip(batch["a"], batch["b"], strict=True))


@pytest.mark.parametrize("storage", examples.STORAGES)
def test_a_clip_gives_several_pairs_next_to_each_other(tmp_path, storage):
    """The longer half of the clips is cut, the shorter one repeated."""
    folder = write(tmp_path / "data", lengths=[7, 9], storage=storage, shortest=CROP // 2)
    batches = take(folder, 4, batch_size=12, pairs_per_clip=3)
    assert all(batch["a"].shape == (12, CROP) for batch in batches)
    order = ids(batches)
    assert order[::3] == order[1::3] == order[2::3]
    assert sorted(order[::3]) == list(range(16)), "an epoch has each clip once"
    crops = np.concatenate([batch[name] for batch in batches for name in "ab"])
    assert len(np.unique(crops, axis=0)) > 0.9 * len(crops), "the crops of a clip differ"
    assert_equal(take(folder, 2, start_step=2, batch_size=12, pairs_per_clip=3), batches[2:])


def test_hosts_and_micro_batches_share_the_pairs_of_the_global_batch(tmp_path):
    folder = write(tmp_path / "data", lengths=[7, 9])
    (whole,) = take(folder, 1, batch_size=16, pairs_per_clip=2)
    parts = []
    for number in range(2):
        batches = input_pipeline.training_batches(
            folder, options(batch_size=16, pairs_per_clip=2), micro_batch=4, context=host(number, 2), times=2
        )
        once, again = np.split(np.array([batch["a"].numpy() for batch in batches.take(4)]), 2)
        np.testing.assert_array_equal(once, again)
        parts += [*once]
    np.testing.assert_array_equal(np.concatenate(parts), whole["a"])
