"""Power spectra of frames in float32 accuracy, on devices that round the factors of products, too.

An FFT rounds no factors on CPUs nor, by what is known of cuFFT, on GPUs. On a CPU it takes about as long as one plain
product with a Fourier basis. TPUs are known to compute an FFT from products whose factors they round to bfloat16. The
errors are relative to the loudest tone, so quiet bands drown in them. Where a TPU is seen, the transform is therefore a
product with a folded Fourier basis in `products.float32_product`. The tests emulate these devices on a CPU. So is what
other runtimes get: LiteRT has an FFT for powers of two only, and the converter to ONNX knows no complex numbers.
"""

import keras
import numpy as np
from keras import ops

from models import filters, products
from models.typing import Tensor


def power_spectrum(frames: Tensor, *, window: int, fft_length: int) -> Tensor:
    """Returns the squared Fourier magnitudes of frames under a periodic Hann window.

    Args:
        frames: float32 `(..., window)`.
        window: Length of the window, in samples.
        fft_length: Number of points of the Fourier transform, at least `window`.

    Returns:
        float32 `(..., fft_length // 2 + 1)`.
    """
    as_product = products.are_kept_in_float32() or _sees_a_tpu()
    transform = _product_transform if as_product else _fast_transform
    real, imaginary = transform(frames, window, fft_length)
    return ops.square(real) + ops.square(imaginary)


def _sees_a_tpu() -> bool:
    """Asked at each trace, because a TPU is seen only after it was initialized.

    What is traced in a process that sees no TPU, such as an exported model, holds the FFT.
    """
    return any(device.startswith("tpu") for device in keras.distribution.list_devices())


def _fast_transform(frames: Tensor, window: int, fft_length: int) -> tuple[Tensor, Tensor]:
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    return ops.rfft(frames * hann.astype(np.float32), fft_length)


def _product_transform(frames: Tensor, window: int, fft_length: int) -> tuple[Tensor, Tensor]:
    """Differs from `_fast_transform` in the phase only, which counts from the middle of the frame."""
    cosines, sines = filters.folded_fourier_bases(window, fft_length)
    # The window and the cosines are symmetric, and the sines antisymmetric: sample n meets sample window - n.
    half = window // 2
    ahead = frames[..., 1 : half + 1]  # (..., window // 2): samples 1, 2, ...
    behind = ops.flip(frames[..., window - half :], axis=-1)  # samples window - 1, window - 2, ...
    return products.float32_product(ahead + behind, cosines), products.float32_product(ahead - behind, sines)
