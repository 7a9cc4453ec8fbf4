"""Keras layers in faster forms. Each has the name and the weights of the layer that it replaces.

If its settings or results differ, its docstring says how.
"""

from collections.abc import Sequence

import keras
from keras import ops

from models import norms
from models.typing import Shape, Tensor


@keras.saving.register_keras_serializable("diptych")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` over the last axis with PANNs' settings, computed from the first two moments.

    PANNs follows PyTorch: epsilon is 1e-5, the running statistics are 0.9 times their old value plus 0.1 times that of
    the batch, and the running variance uses the unbiased variance of the batch. Moments are synchronized across
    replicas and always float32.

    Attributes:
        replicas: Number of replicas that share a batch. The Trainer sets it.
    """

    replicas = 1

    def __init__(self, *, epsilon: float = 1e-5, momentum: float = 0.9, **kwargs):
        kwargs.setdefault("synchronized", keras.config.backend() == "tensorflow")  # No other backend supports it.
        super().__init__(epsilon=epsilon, momentum=momentum, **kwargs)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        mean, variance = self.moving_mean, self.moving_variance
        if training and self.trainable:
            mean, variance = self._global_moments(inputs)
            factor = _unbiasing_factor(ops.shape(inputs)[:-1], replicas=self.replicas)
            self._update(self.moving_mean, mean)
            self._update(self.moving_variance, variance * ops.cast(factor, variance.dtype))
        return _normalize(inputs, mean, variance, self)

    def _update(self, running: keras.Variable, new: Tensor) -> None:
        running.assign(running * self.momentum + new * (1.0 - self.momentum))

    def _global_moments(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and variance of each channel over the batches of all replicas, `(channels,)` each."""
        # Averaging over examples comes last, so that replicas exchange one small tensor.
        moments = ops.concatenate(_moments(inputs), axis=-1)  # (batch, 2 * channels)
        means, _ = ops.moments(moments, axes=[0], synchronized=self.synchronized)  # (2 * channels,)
        mean, mean_square = ops.split(means, 2)
        return mean, ops.maximum(mean_square - ops.square(mean), 0.0)


@keras.saving.register_keras_serializable("diptych")
class GroupNormalization(keras.layers.GroupNormalization):
    """`keras.layers.GroupNormalization` over the last axis, computed from the first two moments.

    It applies one scale and one shift per example and channel, and makes no centered copy of the input. So it reads the
    input twice instead of four times, and a training step takes about half the time. epsilon is 1e-5, as in PANNs and
    wav2vec (Keras: 1e-3). Moments are always float32.
    """

    def __init__(self, groups: int = 1, *, epsilon: float = 1e-5, **kwargs):
        super().__init__(groups=groups, epsilon=epsilon, **kwargs)

    def build(self, input_shape: Shape) -> None:
        norms.check_groups(input_shape[-1], groups=self.groups)
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        channel_mean, channel_mean_square = _moments(inputs)  # (batch, channels) each
        mean, mean_square = self._group_mean(channel_mean), self._group_mean(channel_mean_square)
        return _normalize(inputs, mean, ops.maximum(mean_square - ops.square(mean), 0.0), self)

    def _group_mean(self, moments: Tensor) -> Tensor:
        """Replaces each of the `(batch, channels)` values by the mean of its group."""
        channels = moments.shape[-1]
        grouped = ops.reshape(moments, (-1, self.groups, channels // self.groups))
        mean = ops.mean(grouped, axis=-1, keepdims=True)  # (batch, groups, 1)
        return ops.reshape(ops.broadcast_to(mean, ops.shape(grouped)), (-1, channels))


def _unbiasing_factor(sizes: Sequence[int | Tensor], *, replicas: int) -> float | Tensor:
    """Returns n / (n - 1), which makes the variance of n entries unbiased; 1 for one entry.

    Args:
        sizes: Sizes of the axes but the last, of the batch of a replica; a scalar tensor where a size is not known.
        replicas: Number of replicas that share a batch.
    """
    # Not in int32, which has no numbers from 2**31 on, nor in float32, which has not all from 2**24 on.
    entries = float(replicas)
    for size in sizes:
        entries = entries * (float(size) if isinstance(size, int) else ops.cast(size, "float64"))
    others = max(entries - 1.0, 1.0) if isinstance(entries, float) else ops.maximum(entries - 1.0, 1.0)
    return entries / others


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the mean and the mean square of each example's channels, `(batch, channels)` float32 each."""
    x = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
    inner_axes = tuple(range(1, len(x.shape) - 1))
    return ops.mean(x, axis=inner_axes), ops.mean(ops.square(x), axis=inner_axes)


def _normalize(x: Tensor, mean: Tensor, variance: Tensor, layer: keras.layers.Layer) -> Tensor:
    """Normalizes with `(batch, channels)` or `(channels,)` moments and a layer's gamma, beta and epsilon."""
    scale = ops.cast(layer.gamma, variance.dtype) * ops.rsqrt(variance + layer.epsilon)
    shift = ops.cast(layer.beta, variance.dtype) - mean * scale
    if len(scale.shape) == 2:
        inner_ones = [1] * (len(x.shape) - 2)
        shape = (-1, *inner_ones, x.shape[-1])  # (batch, 1, ..., 1, channels)
        scale = ops.reshape(scale, shape)
        shift = ops.reshape(shift, shape)
    return ops.cast(ops.cast(x, scale.dtype) * scale + shift, x.dtype)


@keras.saving.register_keras_serializable("diptych")
class Conv1D(keras.layers.Conv1D):
    """`keras.layers.Conv1D` without a bias, as a matrix product where a convolution is much slower on CPUs.

    * The kernel spans two strides (the convolution stacks). The input is cut into frames of `strides` samples. Output t
      is frame t times the first half of the kernel plus frame t + 1 times the second half. If a frame has fewer values
      than the output has channels, one product multiplies pairs of frames by the whole kernel. Otherwise one product
      multiplies frames by both halves side by side, and the two results are added with an offset of one frame.
    * The input has few frames (the last stages of the Res1dNets). The frames under the kernel are concatenated and
      multiplied by the kernel. A convolution would take several times as long to read the large kernel.

    All other cases are Keras' convolution. The kernel always has the shape `(kernel_size, in, out)`.
    """

    FEW_FRAMES = 32

    def __init__(self, filters: int, kernel_size: int, **kwargs):
        kwargs["use_bias"] = False
        super().__init__(filters, kernel_size, **kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        (size,), (stride,), (dilation,) = self.kernel_size, self.strides, self.dilation_rate
        if size == 2 * stride and dilation == 1:
            return self._over_frame_pairs(self._padded(inputs))
        if stride == 1 and inputs.shape[1] is not None and inputs.shape[1] <= self.FEW_FRAMES:
            return self._over_gathered_frames(self._padded(inputs))
        return super().call(inputs)

    def _over_frame_pairs(self, x: Tensor) -> Tensor:
        """Returns the valid convolution of `(batch, length, channels)` with a kernel that spans two strides."""
        stride, channels = self.strides[0], x.shape[-1]
        frames = ops.shape(x)[1] // stride
        x = ops.reshape(x[:, : frames * stride], (-1, frames, stride * channels))
        if stride * channels < self.filters:
            pairs = ops.concatenate([x[:, :-1], x[:, 1:]], axis=-1)  # (batch, frames - 1, 2 * stride * channels)
            return ops.matmul(pairs, ops.reshape(self.kernel, (-1, self.filters)))  # (batch, frames - 1, filters)
        halves = ops.reshape(self.kernel, (2, stride * channels, self.filters))
        products = ops.matmul(x, ops.concatenate([halves[0], halves[1]], axis=-1))  # (batch, frames, 2 * filters)
        return products[:, :-1, : self.filters] + products[:, 1:, self.filters :]  # (batch, frames - 1, filters)

    def _over_gathered_frames(self, x: Tensor) -> Tensor:
        """Returns the valid convolution of `(batch, length, channels)` with stride 1, for short inputs."""
        size, dilation = self.kernel_size[0], self.dilation_rate[0]
        frames = x.shape[1] - (size - 1) * dilation
        gathered = [x[:, i * dilation : i * dilation + frames] for i in range(size)]
        kernel = ops.reshape(self.kernel, (-1, self.filters))  # (size * channels, filters)
        return ops.matmul(ops.concatenate(gathered, axis=-1), kernel)  # (batch, frames, filters)

    def _padded(self, x: Tensor) -> Tensor:
        """Pads with zeros like TensorFlow's SAME: ceil(length / stride) outputs, an odd zero at the end."""
        if self.padding != "same":
            return x
        length, stride = ops.shape(x)[1], self.strides[0]
        outputs = -(-length // stride)
        extent = (self.kernel_size[0] - 1) * self.dilation_rate[0] + 1
        total = (outputs - 1) * stride + extent - length
        # A number where the length is known: compiled by JAX, `ops.pad` takes no tensor as a width.
        total = max(total, 0) if isinstance(total, int) else ops.maximum(total, 0)
        return ops.pad(x, [[0, 0], [total // 2, total - total // 2], [0, 0]])

    def get_config(self) -> dict:
        config = super().get_config()
        del config["use_bias"]
        return config


def normalization(norm: str, *, gamma: str = "ones", name: str) -> keras.layers.Layer:
    """Builds a normalization layer.

    Args:
        norm: `"batch"`, or `"group:G"` for group normalization with G groups of channels.
        gamma: Initializer of gamma. With `"zeros"` in its last norm, a residual block starts as the identity.
        name: Name of the layer.

    Raises:
        ValueError: `norm` is neither.
    """
    groups = norms.groups(norm)
    if groups is None:
        return BatchNormalization(gamma_initializer=gamma, name=name)
    return GroupNormalization(groups, gamma_initializer=gamma, name=name)
