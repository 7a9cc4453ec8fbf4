"""BYOL-A (Niizumi et al. 2021, "BYOL for Audio: Self-Supervised Learning for General-Purpose Audio Representation").

One crop of a clip becomes two views, see `views`. An online network, which is trained, predicts from one view what a
target network says of the other. The target is a moving average of the online network, and gets no gradient. There are
no negatives. Sizes and constants are those of the authors' code (nttcslab/byol-a, the first version) and of the code of
BYOL in it. Four things differ:

* The encoder is a CNN10. Its own batch norm of the bands takes the place of the normalization of the two views, by one
  mean and one deviation.
* Views are resized bilinearly instead of bicubically.
* The mean and the deviation by which the log-mel spectra are normalized before augmentation are those of the first
  batches, and the result is scaled back, so that the encoder may embed spectra as they are.
* The batch, the crop and the learning rate are the same as those of the other contenders.
"""

import pathlib
from collections.abc import Sequence

import keras
import tensorflow as tf
from keras import layers

from beam_jobs.audio import pcm
from components.trainer.config import TrainerConfig
from components.trainer.input_pipeline import Batch
from components.trainer.model import build_model
from models.layers import BatchNormalization
from tests.benchmarks.rivals import views
from tests.benchmarks.rivals.methods import OneEncoder

HIDDEN, PROJECTION_DIM = 4096, 256
DECAY = 0.99
_MEASURED_BATCHES = 8


class ByolA(OneEncoder):
    """BYOL-A's step, see `OneEncoder`.

    Attributes:
        target: The networks that `after_update` moves toward the online ones: encoder and projector.
    """

    def __init__(self, config: TrainerConfig, examples: pathlib.Path):
        super().__init__(config, examples)
        (encoder,) = build_model(config.model, seed=config.seed).encoders.values()
        self.target: Sequence[keras.Model] = (encoder, mlp(encoder.output_shape[-1]))
        for target, online in zip(self.target, self._online, strict=True):
            target.set_weights(online.get_weights())
        bands = tf.concat([self._bands(next(self._batches)) for _ in range(_MEASURED_BATCHES)], axis=0)
        self._mean, self._deviation = tf.reduce_mean(bands), tf.math.reduce_std(bands)
        self._views = views.Views(bands.shape[1:], seed=config.seed)

    @property
    def _online(self) -> tuple[keras.Model, keras.Model]:
        projector, _ = self.heads
        return self.encoder, projector

    def build_heads(self) -> tuple[keras.Model, keras.Model]:
        """Returns the projector and the predictor."""
        return mlp(self.encoder.output_shape[-1]), mlp(PROJECTION_DIM)

    def loss(self, batch: Batch) -> tf.Tensor:
        pair = self._views.draw((self._bands(batch) - self._mean) / self._deviation)
        first, second = (self._mean + self._deviation * view for view in pair)  # (clips, frames, bands) each
        return tf.reduce_mean(
            squared_distance(self._predict(first), self._aim(second))
            + squared_distance(self._predict(second), self._aim(first))
        )

    def after_update(self) -> None:
        for target, online in zip(self.target, self._online, strict=True):
            move_toward(target.trainable_variables, online.trainable_variables)

    def _bands(self, batch: Batch) -> tf.Tensor:
        return self.front_end.bands(pcm.to_float(batch["a"]))

    def _predict(self, view: tf.Tensor) -> tf.Tensor:
        projector, predictor = self.heads
        return predictor(projector(self.encoder(view, training=True), training=True), training=True)

    def _aim(self, view: tf.Tensor) -> tf.Tensor:
        encoder, projector = self.target
        return tf.stop_gradient(projector(encoder(view, training=True), training=True))


def mlp(dim: int) -> keras.Model:
    """Builds BYOL's projector or predictor, `(batch, dim)` to `(batch, PROJECTION_DIM)`."""
    return keras.Sequential(
        [keras.Input((dim,)), layers.Dense(HIDDEN), BatchNormalization(), layers.ReLU(), layers.Dense(PROJECTION_DIM)]
    )


def squared_distance(predictions: tf.Tensor, aims: tf.Tensor) -> tf.Tensor:
    """Returns the squared distance of two vectors scaled to length 1, 2 - 2 cos, `(batch,)`.

    Args:
        predictions: `(batch, dim)`.
        aims: `(batch, dim)`.
    """
    cosines = tf.reduce_sum(tf.math.l2_normalize(predictions, axis=-1) * tf.math.l2_normalize(aims, axis=-1), axis=-1)
    return 2.0 - 2.0 * cosines


def move_toward(targets: Sequence[keras.Variable], online: Sequence[keras.Variable], *, decay: float = DECAY) -> None:
    """Sets each target variable to `decay` times itself plus `1 - decay` times the online one."""
    for target, variable in zip(targets, online, strict=True):
        target.assign(decay * target + (1.0 - decay) * variable)
