"""Writes the course of a training to TensorBoard, and its figures to a CSV file."""

import csv
import os
import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from absl import logging
from etils import epath
from tensorboard.plugins.hparams import api as hparams

from beam_jobs import storage
from beam_jobs.audio import pcm
from components import tensorboard
from components.errors import UserError
from components.trainer.config import TrainerConfig
from components.trainer.input_pipeline import Batch
from components.trainer.step import REPLICA_LOGS
from models.dual import DualEncoder

_CLIPS_SHOWN = 4
_COLUMNS = ("step", *REPLICA_LOGS, "learning_rate", "clips_per_s", "input_ms", "host_ms", "device_ms")


class TrainingLog:
    """Writes scalars, pictures and audio players to TensorBoard, and the history of the training to a CSV file.

    Args:
        folder: Folder of the event files; None to write none.
        history: The CSV file. A resumed run appends to it.
        first: Number of steps done already. What is logged of later steps is dropped: it comes from a run that was
            killed after its last checkpoint.

    Attributes:
        folder: See above.
        is_continued: Whether an earlier run has written to the same log.
        is_new: Whether there are no event files yet.
    """

    def __init__(self, folder: epath.Path | None, *, history: epath.Path, first: int):
        self.folder: str | None = None
        self._writer = tf.summary.create_noop_writer()
        self.is_continued, self.is_new = history.exists(), folder is not None
        if folder is not None:
            self.folder = os.fspath(folder)
            if tensorboard.has_events(folder):
                self.is_continued, self.is_new = True, False
                tensorboard.drop_from(folder, first + 1 if first else 0)
            self._writer = tensorboard.writer(folder)
        self._history = history
        rows = read_history(history) if history.exists() else None
        self._rows = [row for row in rows or () if int(row["step"]) <= first]

    @property
    def last(self) -> dict[str, float]:
        """The figures of the last row, or NaN for each if there is no row."""
        row = self._rows[-1] if self._rows else {}
        return {name: float(row.get(name, "nan")) for name in _COLUMNS}

    def config(self, config: TrainerConfig) -> None:
        """Writes the config as text and as hyper-parameters, by which TensorBoard compares runs."""
        fields = _flatten(config.model_dump(mode="json"))
        rows = [(name, "null" if value is None else value) for name, value in fields.items()]
        with self._writer.as_default(step=0):
            tf.summary.text("config", tensorboard.markdown_table(("trainer.", "value"), rows))
            hparams.hparams(
                {name: value if isinstance(value, (bool, int, float)) else str(value) for name, value in fields.items()}
            )

    def training(self, step: int, figures: Mapping[str, float], *, times: Mapping[str, float]) -> None:
        """Writes the figures of the steps up to `step`.

        Args:
            step: Number of steps done.
            figures: Means over the steps since the last call.
            times: Where the time of a step went, in seconds.
        """
        milliseconds = {name: 1000 * seconds for name, seconds in times.items()}
        row = {**figures, **{f"{name}_ms": value for name, value in milliseconds.items()}}
        self._rows.append({"step": str(step), **{name: f"{value:.6g}" for name, value in row.items()}})
        if self.folder:
            self._write_history()
        self._scalars("train", step, figures)
        self._scalars("step_ms", step, milliseconds)
        self._scalars("memory", step, _memory_gib())

    def validation(self, step: int, figures: Mapping[str, float], *, similarities: np.ndarray) -> None:
        """Writes the figures of the validation after `step`, and its `(n, n)` similarities as a picture."""
        self._scalars("valid", step, figures)
        with self._writer.as_default(step=step):
            tf.summary.image("valid/similarity", _similarity_image(similarities))

    def encoder_inputs(self, model: DualEncoder, batch: Batch) -> None:
        """Writes pictures and players of what each branch's encoder gets, augmented, for the first clips of a batch.

        Mixing is shown as it is in the end, also if it grows.

        For a spectral format, the picture shows the input of the encoder, and the player has the mixed waveform from
        which it was computed.
        """
        group = model.config.mixing_group  # It contains the mixing partners of the first clips.
        batch = {name: values[:group] for name, values in batch.items()}
        draws = tf.random.stateless_uniform((len(batch["clip_id"]), model.draws_per_example), seed=(model.seed or 0, 0))
        with self._writer.as_default(step=0):
            for branch, format_name in enumerate(model.formats):
                waveforms = model.mix(branch, pcm.to_float(batch["ab"[branch]]), training=True, draws=draws)
                inputs = model.to_format(branch, waveforms, training=True, draws=draws)
                for i in range(min(_CLIPS_SHOWN, len(waveforms))):
                    tag = f"views/{i}_{'ab'[branch]}_{format_name}"
                    title = f"{batch['clip_id'][i].numpy().decode()}, branch {'AB'[branch]}: {format_name}"
                    if format_name == "waveform":
                        tensorboard.clip(tag, np.asarray(inputs[i]), sample_rate=model.sample_rate, title=title)
                    else:
                        tensorboard.audio(
                            f"{tag}/audio",
                            np.asarray(waveforms[i]),
                            sample_rate=model.sample_rate,
                            description=title,
                        )
                        unit = "coefficient" if format_name == "mfcc" else "band"
                        image = _spectrum_image(np.asarray(inputs[i]), title=title, unit=unit)
                        tf.summary.image(f"{tag}/spectrum", image)

    def close(self, history: epath.Path) -> None:
        """Flushes the event files and copies the CSV file to its published place."""
        self._writer.close()
        self._write_history()
        self._history.copy(history, overwrite=True)

    def _scalars(self, group: str, step: int, figures: Mapping[str, float]) -> None:
        with self._writer.as_default(step=step):
            for name, value in figures.items():
                tf.summary.scalar(f"{group}/{name}", value)
        self._writer.flush()

    def _write_history(self) -> None:
        lines = [",".join(_COLUMNS)]
        for row in self._rows:
            lines.append(",".join(row.get(name, "") for name in _COLUMNS))
        try:
            storage.write_text(self._history, "\n".join(lines) + "\n")
        except OSError as error:
            raise UserError(
                f"The history of the training cannot be written to {self._history} ({error.strerror}): make room, and "
                "run the same command again."
            ) from error


def read_history(file: epath.Path) -> list[dict[str, str]] | None:
    """Reads a CSV file that a `TrainingLog` has written. People may have edited or removed it since.

    Returns:
        Column -> number in each row, which lacks the columns that the file lacks; None, after a warning, if the file
        is missing or holds something else.
    """
    try:
        reader = csv.DictReader(file.read_bytes().decode("utf-8-sig").splitlines(), strict=True)
        if "step" not in (reader.fieldnames or ()):
            raise ValueError("it has no column 'step'")
        return [_numbers(row) for row in reader]
    except FileNotFoundError:
        logging.warning("%s is missing: the curves in the new one begin where the training goes on", file)
    except (ValueError, csv.Error) as error:
        logging.warning(
            "%s was edited and cannot be read (%s): the curves in the new one begin where the training goes on",
            file,
            error,
        )
    return None


def _numbers(row: Mapping[str, str | None]) -> dict[str, str]:
    """Returns the cells of a row that are columns of the history and not empty.

    Raises:
        ValueError: One of them is no number.
    """
    numbers = {name: value for name in _COLUMNS if (value := row.get(name))}
    int(numbers.get("step", ""))
    for value in numbers.values():
        float(value)
    return numbers


def _flatten(config: Mapping[str, object], *, prefix: str = "") -> dict[str, object]:
    """Returns nested fields under dotted names."""
    fields: dict[str, object] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            fields |= _flatten(value, prefix=f"{prefix}{name}.")
        else:
            fields[prefix + name] = value
    return fields


def _memory_gib() -> dict[str, float]:
    """Returns the memory of this process, 0 where there is no /proc, and the peak memory of each GPU."""
    statm = pathlib.Path("/proc/self/statm")
    process_bytes = 0
    if statm.exists():
        process_bytes = int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    memory = {"process_gib": process_bytes / 2**30}
    for index, gpu in enumerate(tf.config.list_logical_devices("GPU")):
        memory[f"gpu{index}_gib"] = tf.config.experimental.get_memory_info(gpu.name)["peak"] / 2**30
    return memory


def _similarity_image(similarities: np.ndarray) -> np.ndarray:
    figure = tensorboard.figure(width=6, height=5)
    axes = figure.subplots()
    picture = axes.imshow(similarities, vmin=-1, vmax=1, cmap="RdBu_r")
    axes.set(title="cosine of projections, valid split", xlabel="clip, branch B", ylabel="clip, branch A")
    figure.colorbar(picture, ax=axes)
    return tensorboard.figure_image(figure)


def _spectrum_image(spectrum: np.ndarray, *, title: str, unit: str) -> np.ndarray:
    """Draws a spectrum, `(frames, bands)`, with time to the right."""
    figure = tensorboard.figure(width=8, height=3)
    axes = figure.subplots()
    axes.imshow(spectrum.T, origin="lower", aspect="auto", cmap="magma")
    axes.set(title=title, xlabel="frame", ylabel=unit)
    return tensorboard.figure_image(figure)
