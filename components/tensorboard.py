"""Writes figures, sound and tables to TensorBoard. Only executors and summaries import this module: it is heavy."""

import os
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from absl import logging
from etils import epath
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from beam_jobs import storage
from beam_jobs.audio import log_mel, pcm
from components import markdown

_DPI = 100


def writer(directory: epath.PathLike) -> tf.summary.SummaryWriter:
    """Opens a writer of event files in `directory`. Use it in a `with` statement through its `as_default`."""
    return tf.summary.create_file_writer(os.fspath(directory))


def has_events(directory: epath.PathLike) -> bool:
    """Returns whether there are event files in `directory`."""
    return bool(_event_files(directory))


def drop_from(directory: epath.PathLike, step: int) -> None:
    """Removes all events of `step` and of later steps, which a killed run has left. Call it before `writer`.

    TensorBoard's readers differ in how they treat steps that come twice, so the files are written again without them.
    A file that is damaged in the middle stays as it is, because what follows the damage cannot be read.

    Raises:
        OSError, tf.errors.OpError: A file cannot be read or written.
    """
    for path in _event_files(directory):
        try:
            if any(_is_from(record, step) for record in _records(path)):
                _rewrite_before(path, step)
        except tf.errors.DataLossError as error:
            logging.warning("the event file %s is damaged and stays as it is: %s", path, error.message)


def _rewrite_before(path: epath.Path, step: int) -> None:
    """Writes an event file again without what belongs to `step` or a later one."""
    rewritten = path.with_name(f"rewritten{storage.UNFINISHED}")
    try:
        with tf.io.TFRecordWriter(os.fspath(rewritten)) as writer:
            for record in _records(path):
                if not _is_from(record, step):
                    writer.write(record)
        rewritten.replace(path)
    except BaseException:
        rewritten.unlink(missing_ok=True)
        raise


def _is_from(record: bytes, step: int) -> bool:
    event = tf.compat.v1.Event.FromString(record)
    return event.HasField("summary") and event.step >= step


def _event_files(directory: epath.PathLike) -> list[epath.Path]:
    folder = epath.Path(directory)
    if not folder.exists():
        return []
    return sorted(path for path in folder.iterdir() if ".tfevents." in path.name)


def _records(path: epath.Path) -> Iterator[bytes]:
    """Yields the whole records of an event file.

    Raises:
        tf.errors.DataLossError: A record is damaged.
    """
    try:
        for record in tf.data.TFRecordDataset(os.fspath(path)):
            yield record.numpy()
    except tf.errors.DataLossError as error:
        if "truncated" not in error.message:  # The run was killed while it wrote the last record.
            raise


def figure(*, width: float = 8.0, height: float = 4.0, layout: str | None = "constrained") -> Figure:
    """Makes an empty figure. It does not use pyplot, so it works in any thread and without a display.

    Args:
        width: In inches, at 100 pixels per inch.
        height: In inches.
        layout: matplotlib's layout engine; None for axes that are placed by hand.
    """
    return Figure(figsize=(width, height), dpi=_DPI, layout=layout)


def figure_image(fig: Figure) -> np.ndarray:
    """Draws a figure. Returns uint8 (1, height, width, 4) for `tf.summary.image`."""
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[None].copy()


def log_mel_image(audio: np.ndarray, *, sample_rate: int, title: str = "") -> np.ndarray:
    """Draws the log-mel spectrogram of one clip.

    Args:
        audio: int16, or float in [-1, 1], (samples,).
        sample_rate: In Hz.
        title: Shown above the picture.

    Returns:
        uint8 (1, height, width, 4).
    """
    energies = log_mel.log_mel(audio, sample_rate=sample_rate)
    fig = figure(width=8.0, height=3.0, layout=None)  # There are many of these, and a layout engine is slow.
    axes = fig.add_axes((0.08, 0.17, 0.9, 0.73))
    extent = (0.0, audio.size / sample_rate, 0.0, float(log_mel.BANDS))
    picture = axes.imshow(energies.T, origin="lower", aspect="auto", extent=extent, cmap="magma")
    fig.colorbar(picture, ax=axes, label="log energy", pad=0.01, fraction=0.05)
    axes.set_title(title, parse_math=False)  # A clip's name may contain a $.
    axes.set(xlabel="s", ylabel="mel band")
    return figure_image(fig)


def audio(name: str, samples: np.ndarray, *, sample_rate: int, step: int = 0, description: str | None = None) -> None:
    """Writes one clip as a player, to the default writer.

    Args:
        name: Tag of the summary.
        samples: int16, or float in [-1, 1], (samples,).
        sample_rate: In Hz.
        step: Training step.
        description: Markdown, shown beside the player.
    """
    data = pcm.to_float(samples)[None, :, None]
    tf.summary.audio(name, data, sample_rate, step=step, encoding="wav", description=description)


def clip(name: str, samples: np.ndarray, *, sample_rate: int, title: str) -> None:
    """Writes one clip as the player `<name>/audio` and the picture `<name>/log_mel`, to the default writer."""
    # The tags differ because TensorBoard shows a tag under one kind of summary only.
    audio(f"{name}/audio", samples, sample_rate=sample_rate, description=markdown.escaped(title))
    tf.summary.image(f"{name}/log_mel", log_mel_image(samples, sample_rate=sample_rate, title=title), step=0)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Returns a Markdown table for `tf.summary.text`, which shows what is in its cells as it is."""
    return markdown.table(header, [[markdown.escaped(str(value)) for value in row] for row in rows])
