"""Plain Keras layers in faster forms. Names, weights and results are those of the layer each one replaces."""

import keras
from keras import ops

from models.typing import Shape, Tensor


@keras.saving.register_keras_serializable("diptych")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` over the last axis as PANNs has it, computed from the first two moments.

    epsilon is 1e-5; the running statistics take a tenth of each batch (torch's momentum 0.1, Keras' 0.9) and, as in
    torch, of its unbiased variance. Moments are synchronised across replicas, and float32 whatever the compute type.

    Attributes:
        replicas: Among how many the batch is spread; whoever trains on several sets it.
    """

    replicas = 1

    def __init__(self, *, epsilon: float = 1e-5, momentum: float = 0.9, **kwargs):
        kwargs.setdefault("synchronized", keras.config.backend() == "tensorflow")  # no other backend knows it
        super().__init__(epsilon=epsilon, momentum=momentum, **kwargs)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        mean, variance = self.moving_mean, self.moving_variance
        if training and self.trainable:
            mean, variance = self._global_moments(inputs)
            entries = ops.size(inputs) // inputs.shape[-1] * self.replicas
            unbiased = variance * ops.cast(entries / ops.maximum(entries - 1, 1), variance.dtype)
            for running, new in ((self.moving_mean, mean), (self.moving_variance, unbiased)):
                running.assign(running * self.momentum + new * (1.0 - self.momentum))
        return _normalized(inputs, mean, variance, self)

    def _global_moments(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel over the batch of all replicas."""
        moments = ops.concatenate(_moments(inputs), axis=-1)  # small, so it alone goes from replica to replica
        mean, square = ops.split(ops.moments(moments, axes=[0], synchronized=self.synchronized)[0], 2)
        return mean, ops.maximum(square - ops.square(mean), 0.0)


@keras.saving.register_keras_serializable("diptych")
class GroupNormalization(keras.layers.GroupNormalization):
    """`keras.layers.GroupNormalization` over the last axis, computed from the first two moments.

    One scale and one shift per example and channel replace the centred copy of the input, so the input is read
    twice instead of four times; a training step of it takes about half as long. epsilon is PANNs' and wav2vec's
    1e-5, not Keras' 1e-3. Moments are float32 whatever the compute type.
    """

    def __init__(self, groups: int = 1, *, epsilon: float = 1e-5, **kwargs):
        super().__init__(groups=groups, epsilon=epsilon, **kwargs)

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        if channels % self.groups:
            raise ValueError(
                f"group normalisation cannot split {channels} channels into {self.groups} groups: choose a number that "
                "divides them, or another width"
            )
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        mean, square = (self._over_group(moment) for moment in _moments(inputs))
        return _normalized(inputs, mean, ops.maximum(square - ops.square(mean), 0.0), self)

    def _over_group(self, moments: Tensor) -> Tensor:
        """Averages (batch, channels) within each group, keeping the shape."""
        channels = moments.shape[-1]
        grouped = ops.reshape(moments, (-1, self.groups, channels // self.groups))
        mean = ops.mean(grouped, axis=-1, keepdims=True)
        return ops.reshape(ops.broadcast_to(mean, ops.shape(grouped)), (-1, channels))


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """First and second moment of each example's channels, `(batch, channels)` float32 each."""
    x = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
    between = tuple(range(1, len(x.shape) - 1))
    return ops.mean(x, axis=between), ops.mean(ops.square(x), axis=between)


def _normalized(x: Tensor, mean: Tensor, variance: Tensor, layer: keras.layers.Layer) -> Tensor:
    """Applies a layer's norm given `(batch, channels)` or `(channels,)` moments, as one scale and one shift."""
    scale = ops.cast(layer.gamma, variance.dtype) * ops.rsqrt(variance + layer.epsilon)
    shift = ops.cast(layer.beta, variance.dtype) - mean * scale
    if len(scale.shape) == 2:  # per example
        shape = (-1, *(1 for _ in x.shape[1:-1]), x.shape[-1])
        scale, shift = ops.reshape(scale, shape), ops.reshape(shift, shape)
    return ops.cast(ops.cast(x, scale.dtype) * scale + shift, x.dtype)


@keras.saving.register_keras_serializable("diptych")
class Conv1D(keras.layers.Conv1D):
    """`keras.layers.Conv1D` without bias, as a matmul where the convolution is far slower on CPU.

    * Kernel of two strides (the convolution stacks): with frames of `strides` samples, each output is (frame t) x
      (first half of the kernel) + (frame t+1) x (second half). What is smaller is doubled: either both frames lie side
      by side in one matmul's input, or both products in its output.
    * Few frames (the last stages of the Res1dNets): the frames under the kernel side by side, times the kernel. The
      convolution would take several times as long to read its large kernel.

    Everything else is Keras' convolution. The kernel has the shape `(kernel_size, in, out)` in all cases.
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
        stride, channels = self.strides[0], x.shape[-1]
        frames = ops.shape(x)[1] // stride
        x = ops.reshape(x[:, : frames * stride], (-1, frames, stride * channels))
        if stride * channels < self.filters:
            pairs = ops.concatenate([x[:, :-1], x[:, 1:]], axis=-1)
            return ops.matmul(pairs, ops.reshape(self.kernel, (-1, self.filters)))
        halves = ops.reshape(self.kernel, (2, stride * channels, self.filters))
        both = ops.matmul(x, ops.concatenate([halves[0], halves[1]], axis=-1))  # (batch, frames, 2 * filters)
        return both[:, :-1, : self.filters] + both[:, 1:, self.filters :]

    def _over_gathered_frames(self, x: Tensor) -> Tensor:
        size, dilation = self.kernel_size[0], self.dilation_rate[0]
        frames = x.shape[1] - (size - 1) * dilation
        gathered = [x[:, i * dilation : i * dilation + frames] for i in range(size)]
        kernel = ops.reshape(self.kernel, (-1, self.filters))
        return ops.matmul(ops.concatenate(gathered, axis=-1), kernel)

    def _padded(self, x: Tensor) -> Tensor:
        """With zeros as TensorFlow's SAME: ceil(length / stride) outputs, the odd zero at the end."""
        if self.padding != "same":
            return x
        length, stride = ops.shape(x)[1], self.strides[0]
        window = (self.kernel_size[0] - 1) * self.dilation_rate[0] + 1
        total = ops.maximum((-(-length // stride) - 1) * stride + window - length, 0)
        return ops.pad(x, [[0, 0], [total // 2, total - total // 2], [0, 0]])

    def get_config(self) -> dict:
        return {key: value for key, value in super().get_config().items() if key != "use_bias"}


def normalization(norm: str, *, gamma: str = "ones", name: str) -> keras.layers.Layer:
    """A normalisation layer by its config name: `"batch"` or `"group:G"` (G groups of channels).

    Args:
        norm: Its config name.
        gamma: What its gamma starts from; `"zeros"` in the last norm of a residual block, which then starts as the
            identity.
        name: The layer's name.

    Raises:
        ValueError: for any other norm.
    """
    kind, _, groups = norm.partition(":")
    if kind == "batch" and not groups:
        return BatchNormalization(gamma_initializer=gamma, name=name)
    if kind == "group" and groups.isdigit() and int(groups) > 0:
        return GroupNormalization(int(groups), gamma_initializer=gamma, name=name)
    raise ValueError(f"unknown norm {norm!r}: it is 'batch' or 'group:G', e.g. 'group:1'")
