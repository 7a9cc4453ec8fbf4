import numpy as np
import pytest
import tensorflow as tf

from components.evaluator import embeddings
from components.evaluator.clips import StoredClip, read_clips
from tests.components import stored_examples
from tests.components.evaluator.scattered_clips import scattered_clips


def test_clip_means_average_the_subclips_of_each_clip():
    clips = scattered_clips(clips=5)
    means = clips.clip_means(clips.features["x"])
    for clip in range(5):
        expected = clips.features["x"][clips.clip_of_subclip == clip].mean(axis=0)
        np.testing.assert_allclose(means[clip], expected, rtol=1e-5)


@pytest.mark.parametrize("few_lengths", [True, False])
def test_embedding_keeps_the_order_of_clips_of_any_lengths(few_lengths):
    rng = np.random.default_rng(0)
    sizes = [5, 9, 17] if few_lengths else range(1, 300)
    stored = [
        StoredClip(
            audio=rng.integers(-9999, 9999, size=rng.choice(sizes), dtype=np.int16),
            clip_id=str(k),
            labels=(k % 3,),
            fold=k % 2,
            split="train",
        )
        for k in range(300)
    ]
    crop = 8

    def embedder(audio):
        mean = tf.reduce_mean(audio, axis=1)[:, None, None]
        return {embeddings.MFCC: tf.tile(mean, (1, max(1, audio.shape[1] // crop), 1))}

    clips = embeddings.embed(iter(stored), embedder, crop=crop)
    assert clips.clip_ids == [str(k) for k in range(300)]
    assert clips.labels == [(k % 3,) for k in range(300)]
    np.testing.assert_array_equal(clips.folds, [k % 2 for k in range(300)])
    expected = [clip.audio.astype(np.float32).mean() / 32768 for clip in stored]
    np.testing.assert_allclose(clips.clip_means(clips.features[embeddings.MFCC])[:, 0], expected, atol=1e-6)
    np.testing.assert_array_equal(clips.subclip_counts, [max(1, clip.audio.size // crop) for clip in stored])


def test_a_bound_on_the_clips_draws_them_from_the_whole_split(tmp_path):
    """TFDS's datasets may be sorted by class, and the first clips would all be of one class."""
    rows = [(np.full(4, index, np.int16), (index // 50,), 0) for index in range(100)]
    folder = stored_examples.write_examples(tmp_path / "x", {"train": rows}, label_names=("a", "b"))
    clips = list(read_clips(folder, splits=["train"], limit=20))
    numbers = [int(clip.audio[0]) for clip in clips]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 20
    assert {clip.labels for clip in clips} == {(0,), (1,)}
    assert [clip.clip_id for clip in clips] == [f"train{number}" for number in numbers]
    assert [int(clip.audio[0]) for clip in read_clips(folder, splits=["train"], limit=20)] == numbers
    assert len(list(read_clips(folder, splits=["train"], limit=100))) == 100
