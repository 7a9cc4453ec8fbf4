"""What the stages share to write something worth looking at to TensorBoard.

Imports are lazy, so that a run that skips every stage stays quick.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from etils import epath

if TYPE_CHECKING:
    import tensorflow as tf
    from matplotlib.figure import Figure

_DPI = 100


def writer(directory: epath.PathLike) -> "tf.summary.SummaryWriter":
    """Opens a writer of event files into `directory`, to be entered with its `as_default`."""
    import tensorflow as tf

    return tf.summary.create_file_writer(os.fspath(directory))


def figure(*, width: float = 8.0, height: float = 4.0, layout: str | None = "constrained") -> "Figure":
    """An empty figure of the given size in inches, outside pyplot, so that it works in any thread without a display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=_DPI, layout=layout)


def figure_image(fig: "Figure") -> np.ndarray:
    """Draws a figure; returns uint8 (1, height, width, 4), as `tf.summary.image` takes it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[None].copy()


def log_mel_image(audio: np.ndarray, *, sample_rate: int, title: str = "") -> np.ndarray:
    """The log-mel picture of one clip.

    Args:
        audio: int16 or float in [-1, 1], (samples,).
        sample_rate: In Hz.
        title: Written above the picture.

    Returns:
        uint8 (1, height, width, 4).
    """
    from beam_jobs.audio import log_mel

    energies = log_mel.log_mel(audio, sample_rate=sample_rate)
    fig = figure(width=8.0, height=3.0, layout=None)  # there are many of these, and working out a layout is slow
    axes = fig.add_axes((0.08, 0.17, 0.9, 0.73))
    extent = (0.0, audio.size / sample_rate, 0.0, float(log_mel.BANDS))
    picture = axes.imshow(energies.T, origin="lower", aspect="auto", extent=extent, cmap="magma")
    fig.colorbar(picture, ax=axes, label="log energy", pad=0.01, fraction=0.05)
    axes.set_title(title, parse_math=False)  # a clip's name may hold a $
    axes.set(xlabel="s", ylabel="mel band")
    return figure_image(fig)


def audio(name: str, samples: np.ndarray, *, sample_rate: int, step: int = 0, description: str | None = None) -> None:
    """A player for one clip, int16 or float in [-1, 1], (samples,), to the default writer."""
    import tensorflow as tf

    from beam_jobs.audio import pcm

    data = pcm.to_float(samples)[None, :, None]
    tf.summary.audio(name, data, sample_rate, step=step, encoding="wav", description=description)


def clip(name: str, samples: np.ndarray, *, sample_rate: int, title: str) -> None:
    """A player `<name>/audio` and a picture `<name>/log_mel` of one clip, to the default writer."""
    import tensorflow as tf

    # Names of their own: TensorBoard shows a name under one kind of summary only.
    audio(f"{name}/audio", samples, sample_rate=sample_rate, description=title)
    tf.summary.image(f"{name}/log_mel", log_mel_image(samples, sample_rate=sample_rate, title=title), step=0)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table for `tf.summary.text`."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
