"""Classifiers with one hidden layer, for all sets of features of an embedder, trained in one compiled step."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from components.evaluator.features import FeatureSet

_MIN_DEVIATION = 1e-8
_ROWS_AT_A_TIME = 4096

Weights = list[np.ndarray]


class Networks:
    """One classifier a set of features, or several copies of each.

    A copy is trained on rows of its own, so that cross-validation takes no longer than it must. The networks share
    nothing but the batches: their losses are added, and Adam treats every weight by itself.

    Args:
        sets: The sets of features.
        statistics: Name of the embedding -> mean and deviation of each of its elements, by which it is standardized.
            The paper does not say whether it standardizes. A constant element becomes zero.
        hidden: Number of hidden units (paper: 512).
        classes: Number of classes.
        copies: Number of copies of each network, which start equal.
        learning_rate: Adam's.
        seed: Fixes the initial weights.
    """

    def __init__(
        self,
        sets: Sequence[FeatureSet],
        *,
        statistics: Mapping[str, tuple[np.ndarray, np.ndarray]],
        hidden: int,
        classes: int,
        copies: int = 1,
        learning_rate: float,
        seed: int,
    ):
        self._sets = sets
        self._scaling = {name: _scaling(*values) for name, values in statistics.items()}
        self._models: dict[str, keras.Sequential] = {}
        for one in sets:
            dim = sum(len(statistics[column][0]) for column in one.columns)
            self._models[one.name] = keras.Sequential(
                [
                    keras.Input((None, dim)),
                    _StackedDense(hidden, copies=copies, activation="relu", seed=seed),
                    _StackedDense(classes, copies=copies, seed=seed + 1),
                ]
            )
        self._variables = [v for model in self._models.values() for v in model.trainable_variables]
        self._optimizer = keras.optimizers.Adam(learning_rate)
        self._optimizer.build(self._variables)
        vectors = {name: tf.TensorSpec((None, len(mean)), tf.float16) for name, (mean, _) in statistics.items()}
        targets, weights = tf.TensorSpec((None, classes), tf.bool), tf.TensorSpec((copies, None), tf.float32)
        self._step = tf.function(self._step, input_signature=[vectors, targets, weights], autograph=False)
        self._logits = tf.function(self._logits, input_signature=[vectors], autograph=False)
        self._copies = copies

    def step(
        self, vectors: Mapping[str, np.ndarray], targets: np.ndarray, *, row_weights: np.ndarray | None = None
    ) -> None:
        """Trains all networks on a batch.

        Args:
            vectors: Name of the embedding -> float16 (rows, dim).
            targets: bool (rows, classes).
            row_weights: float32 (copies, rows), 1 for the rows that a copy trains on and 0 for others; None: all.
        """
        if row_weights is None:
            row_weights = np.ones((self._copies, len(targets)), np.float32)
        self._step(dict(vectors), targets, row_weights)

    def logits(self, vectors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Classifies rows.

        Args:
            vectors: Name of the embedding -> float16 (rows, dim).

        Returns:
            Name of the set -> float32 (copies, rows, classes).
        """
        rows = len(next(iter(vectors.values())))
        parts = []
        for first in range(0, rows, _ROWS_AT_A_TIME):
            part = {name: values[first : first + _ROWS_AT_A_TIME] for name, values in vectors.items()}
            parts.append({name: logits.numpy() for name, logits in self._logits(part).items()})
        return {name: np.concatenate([part[name] for part in parts], axis=1) for name in self._models}

    def weights(self, name: str) -> Weights:
        """Returns a copy of the weights of the network on a set."""
        return self._models[name].get_weights()

    def restore(self, name: str, weights: Weights) -> None:
        """Sets the weights of the network on a set."""
        self._models[name].set_weights(weights)

    def _step(self, vectors: Mapping[str, tf.Tensor], targets: tf.Tensor, row_weights: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            losses = []
            for logits in self._logits(vectors).values():
                truth = tf.broadcast_to(tf.cast(targets, tf.float32), tf.shape(logits))  # (copies, rows, classes)
                cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=truth, logits=logits)
                of_rows = tf.reduce_mean(cross_entropy, axis=2)  # (copies, rows)
                sums, counts = tf.reduce_sum(row_weights * of_rows, axis=1), tf.reduce_sum(row_weights, axis=1)
                losses.append(tf.reduce_sum(tf.math.divide_no_nan(sums, counts)))
            loss = tf.add_n(losses)
        self._optimizer.apply(tape.gradient(loss, self._variables), self._variables)

    def _logits(self, vectors: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        standardized = {
            name: (tf.cast(values, tf.float32) - self._scaling[name][0]) * self._scaling[name][1]
            for name, values in vectors.items()
        }
        logits = {}
        for one in self._sets:
            x = tf.concat([standardized[column] for column in one.columns], axis=1)  # (rows, dim)
            logits[one.name] = self._models[one.name](x[None])  # (copies, rows, classes)
        return logits


class _StackedDense(keras.layers.Layer):
    """Dense layers side by side: (1 or copies, rows, dim) -> (copies, rows, units)."""

    def __init__(self, units: int, *, copies: int, activation: str | None = None, seed: int):
        super().__init__()
        self._units, self._copies, self._seed = units, copies, seed
        self._activation = keras.activations.get(activation)

    def build(self, shape: tuple[int | None, ...]) -> None:
        kernel = keras.initializers.GlorotUniform(self._seed)((shape[-1], self._units))
        kernels = np.repeat(np.asarray(kernel)[None], self._copies, axis=0)
        self.kernel = self.add_weight(shape=kernels.shape, initializer=lambda *_, **__: kernels)
        self.bias = self.add_weight(shape=(self._copies, 1, self._units), initializer="zeros")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return self._activation(keras.ops.matmul(x, self.kernel) + self.bias)


def measure(vectors: Mapping[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns the mean and the deviation of each element of embeddings (rows, dim), in float64."""
    return {name: _mean_and_deviation(values) for name, values in vectors.items()}


def _mean_and_deviation(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Computes in parts, because float16 would overflow and float64 takes four times the memory."""
    mean = values.mean(axis=0, dtype=np.float64)
    squares = np.zeros_like(mean)
    for first in range(0, len(values), _ROWS_AT_A_TIME):
        squares += np.square(values[first : first + _ROWS_AT_A_TIME] - mean).sum(axis=0)
    return mean, np.sqrt(squares / len(values))


def _scaling(mean: np.ndarray, deviation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > _MIN_DEVIATION)
    return mean.astype(np.float32), scale.astype(np.float32)
