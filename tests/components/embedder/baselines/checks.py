"""What every embedder has to do."""

import concurrent.futures

import numpy as np

from tests.reference import relative_error


def windows(framing, *, count=3, seed=0):
    """Returns windows of noise, the first one faint and the last one at full scale, float32 (count, window_samples)."""
    noise = np.random.default_rng(seed).uniform(-1, 1, (count, framing.window_samples))
    return (noise * np.geomspace(1e-5, 1.0, count)[:, None]).astype(np.float32)


def check(embedder, *, dims, tolerance=1e-4):
    """Checks the sizes of the vectors, and that a window has the same vector in every batch and from every thread.

    Returns:
        The windows that were embedded, and their vectors.
    """
    assert dict(embedder.dims) == dims
    sounds = windows(embedder.framing)
    together = embedder.embed(sounds)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        alone = list(pool.map(embedder.embed, [sound[None] for sound in sounds]))
    for name, dim in dims.items():
        assert together[name].shape == (len(sounds), dim)
        assert together[name].dtype == np.float32
        assert np.isfinite(together[name]).all()
        for vectors, vector in zip(alone, together[name], strict=True):
            assert relative_error(vectors[name][0], vector) < tolerance
        assert relative_error(together[name][0], together[name][-1]) > 1e-3  # Sounds of other levels differ.
    assert set(together) == set(dims)
    return sounds, together
