"""The functions behind the SavedModel's signatures and behind its `__call__`."""

import functools

import tensorflow as tf

from components.exporter import portions, sounds, wav
from components.exporter.sounds import Clips
from components.exporter.windows import Frames, Subclips
from models import subclip_starts
from models.dual import DualEncoder

FRAMES_PER_SECOND = 20
"""At least so many frames lie in a second: HEAR asks for a hop of at most 50 ms."""


def frame_hop(sample_rate: int) -> int:
    """Returns the samples from one frame to the next."""
    return sample_rate // FRAMES_PER_SECOND


class Endpoints:
    """Embeds clips with a model.

    The results of a clip do not depend on the other clips of its batch, except in training.

    Args:
        model: Only its front ends and encoders are used.

    Attributes:
        output_dims: Name of each embedding, also of the concatenation of all -> its size.
    """

    def __init__(self, model: DualEncoder):
        self.output_dims = {"embedding": sum(model.dims.values()), **model.dims}
        self._sample_rate = model.sample_rate
        crop = model.crop_samples
        self._subclips = Subclips(crop=crop, stride=subclip_starts.half_crop(crop))
        self._frames = Frames(crop=crop, hop=frame_hop(model.sample_rate))
        # Functions of their own, so that the SavedModel holds them once and not once for each signature.
        windows = tf.TensorSpec((None, crop), tf.float32, name="windows")
        clips = Clips(
            tf.TensorSpec((None,), tf.float32, name="samples"), tf.TensorSpec((None,), tf.int64, name="lengths")
        )
        self._embed, embed_in_training = (
            tf.function(
                functools.partial(embed_windows, model, training=training), input_signature=[windows], autograph=False
            )
            for training in (False, True)
        )
        means = functools.partial(portions.clip_means, windows=self._subclips, dims=self.output_dims)
        self._means, self._means_in_training = (
            tf.function(functools.partial(means, embed, at_once=at_once), input_signature=[clips], autograph=False)
            for embed, at_once in ((self._embed, False), (embed_in_training, True))
        )

    def serving_default(self, audio: tf.Tensor) -> dict[str, tf.Tensor]:
        """Embeds float32 (batch, samples): the mean over the sub-clips, (batch, dim) each."""
        clips, given = sounds.from_audio(audio, name="audio")
        return _first(given, self._means(clips))

    def windows(self, audio: tf.Tensor) -> dict[str, tf.Tensor]:
        """Embeds each sub-clip, (batch, windows, dim) each, and says where it lies, (batch, windows)."""
        (clips, given), cut = sounds.from_audio(audio, name="audio"), self._subclips
        numbers, length = _numbers(cut.count(clips.lengths[:1])[0]), clips.lengths[0]
        starts = cut.starts(numbers, length)
        times = {"start_s": starts, "end_s": tf.minimum(starts + cut.crop, length)}
        embedded = portions.each_window(self._embed, clips, cut, dims=self.output_dims)
        return _first(given, self._by_clip(embedded, times, clips))

    def frames(self, audio: tf.Tensor) -> dict[str, tf.Tensor]:
        """Embeds what is around each frame, (batch, frames, dim), and says when it is, (batch, frames)."""
        (clips, given), cut = sounds.from_audio(audio, name="audio"), self._frames
        times = {"timestamps": _numbers(cut.count(clips.lengths[:1])[0]) * cut.hop}
        dims = {"embedding": self.output_dims["embedding"]}
        embedded = portions.each_window(self._embed, clips, cut, dims=dims)
        return _first(given, self._by_clip(embedded, times, clips))

    def wav_bytes(self, wav_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Embeds WAV files, string (batch,), like `serving_default` embeds their samples."""
        clips, given = wav.read(wav_bytes, sample_rate=self._sample_rate)
        return _first(given, self._means(clips))

    def inputs(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the `embedding` of `serving_default` alone."""
        clips, given = sounds.from_audio(inputs, name="inputs")
        return _first(given, {"embedding": self._means(clips)["embedding"]})

    def call(self, waveform: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Returns the `embedding` of `serving_default`.

        Args:
            waveform: float32 (batch, samples), or (samples,), which is a batch of one.
            training: Whether dropout is applied, and batches are normalized by their own statistics, which also
                updates the running ones. All windows then go through the encoders at once, in memory for all.
        """
        # TensorFlow does not know the number of dimensions before the call, so that one trace takes both.
        one_or_more = tf.cond(tf.rank(waveform) == 1, lambda: waveform[None], lambda: waveform)
        clips, given = sounds.from_audio(one_or_more, name="waveform")
        means = self._means_in_training(clips) if training else self._means(clips)
        return _first(given, means)["embedding"]

    def _by_clip(
        self, embedded: dict[str, tf.Tensor], times: dict[str, tf.Tensor], clips: Clips
    ) -> dict[str, tf.Tensor]:
        """Gives each clip a row of windows, given those of all clips, and when the windows of one are, in samples."""
        batch = tf.size(clips.lengths)
        rows = {name: tf.reshape(values, (batch, -1, values.shape[-1])) for name, values in embedded.items()}
        for name, samples in times.items():
            seconds = tf.cast(tf.cast(samples, tf.float64) / self._sample_rate, tf.float32)
            rows[name] = tf.tile(seconds[None], (batch, 1))
        return rows


def embed_windows(model: DualEncoder, windows: tf.Tensor, *, training: bool) -> dict[str, tf.Tensor]:
    """Returns `embedding`, of all encoders, and that of each under its name, (windows, dim)."""
    embeddings = model.embed(windows, training=training)
    embeddings = {name: embeddings[name] for name in model.embedding_names}
    return {"embedding": tf.concat(list(embeddings.values()), axis=-1), **embeddings}


def _first(count: tf.Tensor, outputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Drops what belongs to no clip of the caller, see `sounds.from_audio`."""
    return {name: values[:count] for name, values in outputs.items()}


def _numbers(count: tf.Tensor) -> tf.Tensor:
    return tf.range(count, dtype=tf.int64)
