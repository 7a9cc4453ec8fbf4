"""Plain Keras layers in faster forms. Names, weights and results are those of the layer each one replaces."""

import keras
from keras import ops

from models.typing import Shape, Tensor


@keras.saving.register_keras_serializable("diptych")
class GroupNormalization(keras.layers.GroupNormalization):
    """`keras.layers.GroupNormalization` over `(batch, time, channels)`, computed from the first two moments.

    One scale and one shift per example and channel replace the centred copy of the input, so the input is read
    twice instead of four times; a training step of it takes about half as long. epsilon is PANNs' and wav2vec's
    1e-5, not Keras' 1e-3. Moments are float32 whatever the compute type.
    """

    def __init__(self, groups: int = 1, *, epsilon: float = 1e-5, **kwargs):
        super().__init__(groups=groups, axis=-1, epsilon=epsilon, **kwargs)

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        if channels % self.groups:
            raise ValueError(f"group normalisation cannot split {channels} channels into {self.groups} groups")
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        x = ops.cast(inputs, "float32")
        mean, square = ops.mean(x, axis=1), ops.mean(ops.square(x), axis=1)  # (batch, channels)
        mean, square = self._over_group(mean), self._over_group(square)
        inverse = ops.rsqrt(ops.maximum(square - ops.square(mean), 0.0) + self.epsilon)
        scale = ops.cast(self.gamma, "float32") * inverse
        shift = ops.cast(self.beta, "float32") - mean * scale
        dtype = inputs.dtype
        return inputs * ops.cast(scale[:, None], dtype) + ops.cast(shift[:, None], dtype)

    def _over_group(self, moments: Tensor) -> Tensor:
        """Averages (batch, channels) within each group, keeping the shape."""
        channels = moments.shape[-1]
        grouped = ops.reshape(moments, (-1, self.groups, channels // self.groups))
        mean = ops.mean(grouped, axis=-1, keepdims=True)
        return ops.reshape(ops.broadcast_to(mean, ops.shape(grouped)), (-1, channels))


@keras.saving.register_keras_serializable("diptych")
class HalfOverlapConv1D(keras.layers.Conv1D):
    """`keras.layers.Conv1D` with `kernel_size == 2 * strides`, as one matmul and one addition.

    With frames of `strides` samples, each output is (frame t) x (first half of the kernel) + (frame t+1) x (second
    half). Both products come from one matmul, whose backward pass runs at matmul speed; the convolution's does
    not on CPU. The kernel keeps Conv1D's shape `(kernel_size, in, out)`.
    """

    def __init__(self, filters: int, *, strides: int, padding: str = "valid", **kwargs):
        kwargs.pop("kernel_size", None)
        super().__init__(filters, 2 * strides, strides=strides, padding=padding, use_bias=False, **kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        x = self._pad_same(inputs) if self.padding == "same" else inputs
        stride, channels = self.strides[0], x.shape[-1]
        frames = ops.shape(x)[1] // stride
        x = ops.reshape(x[:, : frames * stride], (-1, frames, stride * channels))
        halves = ops.reshape(self.kernel, (2, stride * channels, self.filters))
        both = ops.matmul(x, ops.concatenate([halves[0], halves[1]], axis=-1))  # (batch, frames, 2 * filters)
        return both[:, :-1, : self.filters] + both[:, 1:, self.filters :]

    def _pad_same(self, x: Tensor) -> Tensor:
        """Zero padding as TensorFlow's SAME: ceil(length / stride) outputs, the odd zero at the end."""
        length, stride = ops.shape(x)[1], self.strides[0]
        total = ops.maximum((-(-length // stride) - 1) * stride + 2 * stride - length, 0)
        return ops.pad(x, [[0, 0], [total // 2, total - total // 2], [0, 0]])

    def get_config(self) -> dict:
        config = super().get_config()
        for fixed in ("kernel_size", "use_bias"):
            config.pop(fixed)
        return {**config, "strides": self.strides[0]}


def normalization(norm: str, *, axis: int = -1, name: str) -> keras.layers.Layer:
    """A normalisation layer by its config name: `"batch"` or `"group:G"` (G groups of channels).

    Batch norm has PANNs' epsilon 1e-5 and momentum 0.9 (torch's 0.1), and is synchronised across replicas.

    Raises:
        ValueError: for any other name.
    """
    kind, _, groups = norm.partition(":")
    if kind == "batch" and not groups:
        synchronized = keras.config.backend() == "tensorflow"  # no other backend knows it
        return keras.layers.BatchNormalization(
            axis=axis, momentum=0.9, epsilon=1e-5, synchronized=synchronized, name=name
        )
    if kind == "group" and groups.isdigit() and int(groups) > 0:
        return GroupNormalization(int(groups), name=name)
    raise ValueError(f"unknown norm {norm!r}: it is 'batch' or 'group:G', e.g. 'group:1'")
