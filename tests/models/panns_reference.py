"""A second, slow implementation of PANNs' networks (Kong et al. 2020) up to their global pooling, in NumPy and float64.

It checks `models.encoders`, so it is written from a description of the networks and shares no code with them. Arrays
have PyTorch's layout, channels first, and PANNs' names, from which the number of blocks follows. The networks run as in
evaluation: no dropout, running statistics. If the tensors have no running statistics, all norms are group norms with 32
groups.
"""

import itertools

import numpy as np

GROUPS = 32
EPSILON = 1e-5


def embed(name, arrays, x, *, pooling="valid", outputs=None):
    """Returns embeddings (batch, channels) of log-mels (batch, 1, frames, bands) or waveforms (batch, samples).

    If a dict `outputs` is given, the output of each layer with weights is added to it, in order.
    """
    net = _Layers(arrays, pooling, {} if outputs is None else outputs)
    x = x.astype("float64")
    if name.startswith("res1dnet"):
        x = net.norm(net.conv(x[:, np.newaxis], "conv0", stride=5), "bn0")  # no ReLU
        x = net.stages(x, window=4)
    else:
        x = net.norm(x[:, 0].swapaxes(1, 2), "bn0").swapaxes(1, 2)[:, np.newaxis]  # The channels of bn0 are the bands.
        if name.startswith("cnn"):
            x = net.plain_blocks(x, unpooled=6 if name == "cnn14" else None)
        else:
            x = net.pool(net.plain_block(x, "conv_block1"), 2)
            x = net.pool(net.stages(x, window=2), 2)
            x = net.plain_block(x, "conv_block_after1")
        x = x.mean(axis=3)
    return x.max(axis=2) + x.mean(axis=2)


def _relu(x):
    return np.maximum(x, 0)


class _Layers:
    def __init__(self, arrays, pooling, outputs):
        self.arrays, self.pooling, self.outputs = arrays, pooling, outputs

    def conv(self, x, path, *, stride=1, dilation=1):
        kernel = self.arrays[f"{path}.weight"].astype("float64")
        sizes = kernel.shape[2:]
        axes = tuple(range(2, x.ndim))
        # All kernels of PANNs have odd sizes. The input is padded by half the kernel's extent on both sides.
        x = np.pad(x, [(0, 0), (0, 0)] + [(dilation * (size // 2),) * 2 for size in sizes])
        extents = [dilation * (size - 1) + 1 for size in sizes]
        windows = np.lib.stride_tricks.sliding_window_view(x, extents, axes)
        steps = (1, 1, *(stride for _ in axes), *(dilation for _ in axes))
        windows = windows[tuple(slice(None, None, step) for step in steps)]
        inner = (1, *range(x.ndim, 2 * x.ndim - 2))
        y = np.moveaxis(np.tensordot(windows, kernel, (inner, (1, *axes))), -1, 1)
        self.outputs[path] = y
        return y

    def norm(self, x, path):
        names = ("weight", "bias", "running_mean", "running_var")
        gamma, beta, *statistics = (
            self.arrays[f"{path}.{name}"].astype("float64").reshape(-1, *[1] * (x.ndim - 2))
            for name in names
            if f"{path}.{name}" in self.arrays
        )
        if statistics:
            mean, variance = statistics
            y = (x - mean) / np.sqrt(variance + EPSILON)
        else:
            groups = x.reshape(len(x), GROUPS, -1)
            mean, variance = groups.mean(axis=2, keepdims=True), groups.var(axis=2, keepdims=True)
            y = ((groups - mean) / np.sqrt(variance + EPSILON)).reshape(x.shape)
        self.outputs[path] = gamma * y + beta
        return self.outputs[path]

    def pool(self, x, window, reduce=np.nanmean):
        for axis in range(2, x.ndim):
            length = x.shape[axis]
            if self.pooling == "same":  # Padding is NaN, so that neither a maximum nor a mean counts it.
                padding = [(0, 0)] * x.ndim
                padding[axis] = (-length % window // 2, -length % window - -length % window // 2)
                x = np.pad(x, padding, constant_values=np.nan)
            else:
                x = x.take(range(length - length % window), axis)
            x = reduce(x.reshape(*x.shape[:axis], -1, window, *x.shape[axis + 1 :]), axis=axis + 1)
        return x

    def plain_block(self, x, path):
        for i in self._count(f"{path}.conv{{}}.weight"):
            x = _relu(self.norm(self.conv(x, f"{path}.conv{i}"), f"{path}.bn{i}"))
        return x

    def plain_blocks(self, x, *, unpooled):
        for i in self._count("conv_block{}.conv1.weight"):
            x = self.plain_block(x, f"conv_block{i}")
            x = x if i == unpooled else self.pool(x, 2)
        return x

    def stages(self, x, *, window):
        for stage in self._count("resnet.layer{}.0.conv1.weight"):
            for block in self._count(f"resnet.layer{stage}.{{}}.conv1.weight", start=0):
                shrink = window if stage > 1 and block == 0 else 1
                x = self.residual_block(x, f"resnet.layer{stage}.{block}", shrink)
        return x

    def residual_block(self, x, path, shrink):
        waveform = x.ndim == 3
        shortcut, first = x, 0
        if shrink > 1:
            shortcut, first = self.pool(x, shrink), 1  # The pooling is module 0.
            x = self.pool(x, shrink, np.nanmax) if waveform else shortcut
        if f"{path}.downsample.{first}.weight" in self.arrays:
            shortcut = self.conv(shortcut, f"{path}.downsample.{first}")
            shortcut = self.norm(shortcut, f"{path}.downsample.{first + 1}")
        for i in self._count(f"{path}.conv{{}}.weight"):
            x = x if i == 1 else _relu(x)
            x = self.conv(x, f"{path}.conv{i}", dilation=2 if waveform and i == 2 else 1)
            x = self.norm(x, f"{path}.bn{i}")
        return _relu(x + shortcut)

    def _count(self, name, start=1):
        """Yields the numbers from `start` on for which a tensor of this name exists."""
        return itertools.takewhile(lambda i: name.format(i) in self.arrays, itertools.count(start))
