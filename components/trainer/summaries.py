"""What training writes to TensorBoard, and the same figures as a CSV."""

import csv
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from etils import epath

from components import tensorboard
from components.trainer.input_pipeline import Batch
from components.trainer.step import LOGS, to_float
from models.dual import DualEncoder

_CLIPS_SHOWN = 4
_COLUMNS = ("step", *LOGS, "learning_rate", "clips_per_s")


class TrainingLog:
    """Scalars over steps, and pictures and players of what the encoders are given.

    Args:
        folder: Of the event files.
        history: CSV of the training figures, which a resumed run goes on with.
        first: Steps done already; later rows of the CSV are from a run that was killed after its last checkpoint,
            and are dropped.
    """

    def __init__(self, folder: epath.Path, *, history: epath.Path, first: int):
        self._writer = tensorboard.writer(folder)
        self._history = history
        rows = list(csv.DictReader(history.read_text().splitlines())) if history.exists() else []
        self._rows = [row for row in rows if int(row["step"]) <= first]

    @property
    def last(self) -> dict[str, float]:
        """The figures of the last row; not-a-number if there is none."""
        row = self._rows[-1] if self._rows else dict.fromkeys(_COLUMNS, "nan")
        return {name: float(value) for name, value in row.items()}

    def training(self, step: int, figures: Mapping[str, float]) -> None:
        """Adds the figures of the steps up to `step`."""
        self._rows.append({name: f"{value:.6g}" for name, value in figures.items()} | {"step": str(step)})
        self._write_history()
        self._scalars("train", step, figures)

    def validation(self, step: int, figures: Mapping[str, float]) -> None:
        """Adds the figures of the validation batch after `step`."""
        self._scalars("valid", step, figures)

    def views(self, model: DualEncoder, batch: Batch) -> None:
        """Shows the first clips of a batch as each branch's encoder is given them, augmented.

        Of a spectrum, the player has the mixed waveform that it is of, and the picture all that was done to it.
        """
        with self._writer.as_default(step=0):
            for branch, name in enumerate(model.formats):
                sounds = model.mix(branch, to_float(batch["ab"[branch]]), training=True)
                views = model.format(branch, sounds, training=True)
                for i in range(min(_CLIPS_SHOWN, len(sounds))):
                    clip_id = batch["clip_id"][i].numpy().decode()
                    title = f"{clip_id}, branch {'AB'[branch]}: {name}"
                    tag, sample_rate = f"views/{i}_{'ab'[branch]}_{name}", model.sample_rate
                    if name == "waveform":
                        tensorboard.clip(tag, np.asarray(views[i]), sample_rate=sample_rate, title=title)
                    else:
                        sound, spectrum = np.asarray(sounds[i]), np.asarray(views[i])
                        unit = "coefficient" if name == "mfcc" else "band"
                        tensorboard.audio(f"{tag}/audio", sound, sample_rate=sample_rate, description=title)
                        tf.summary.image(f"{tag}/spectrum", _spectrum_image(spectrum, title=title, unit=unit))

    def close(self, history: epath.Path) -> None:
        """Flushes the events and writes the CSV to where it stays."""
        self._writer.close()
        self._write_history()
        self._history.copy(history, overwrite=True)

    def _scalars(self, group: str, step: int, figures: Mapping[str, float]) -> None:
        with self._writer.as_default(step=step):
            for name, value in figures.items():
                tf.summary.scalar(f"{group}/{name}", value)
        self._writer.flush()

    def _write_history(self) -> None:
        lines = [",".join(_COLUMNS), *(",".join(row.get(name, "") for name in _COLUMNS) for row in self._rows)]
        self._history.write_text("\n".join(lines) + "\n")


def _spectrum_image(spectrum: np.ndarray, *, title: str, unit: str) -> np.ndarray:
    """`(frames, bands)` as a picture, time to the right."""
    figure = tensorboard.figure(width=8, height=3)
    axes = figure.subplots()
    axes.imshow(spectrum.T, origin="lower", aspect="auto", cmap="magma")
    axes.set(title=title, xlabel="frame", ylabel=unit)
    return tensorboard.figure_image(figure)
