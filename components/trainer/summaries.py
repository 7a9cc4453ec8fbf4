"""What training writes to TensorBoard, and the same figures as a CSV."""

import csv
import os
import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from etils import epath
from tensorboard.plugins.hparams import api as hparams

from beam_jobs import storage
from beam_jobs.audio import pcm
from components import tensorboard
from components.errors import UserError
from components.trainer.config import TrainerConfig
from components.trainer.input_pipeline import Batch
from components.trainer.step import LOGS
from models.dual import DualEncoder

_CLIPS_SHOWN = 4
_COLUMNS = ("step", *LOGS[:-1], "learning_rate", "clips_per_s", "input_ms", "host_ms", "device_ms")


class TrainingLog:
    """Scalars over steps, and pictures and players of what the encoders are given.

    Args:
        folder: Of the event files; None to write none.
        history: CSV of the training figures, which a resumed run goes on with.
        first: Steps done already; later rows of the CSV are from a run that was killed after its last checkpoint,
            and are dropped.
    """

    def __init__(self, folder: epath.Path | None, *, history: epath.Path, first: int):
        self.folder = os.fspath(folder) if folder else None
        self._writer = tensorboard.writer(folder) if folder else tf.summary.create_noop_writer()
        self._history = history
        rows = list(csv.DictReader(history.read_text().splitlines())) if history.exists() else []
        self._rows = [row for row in rows if int(row["step"]) <= first]

    @property
    def last(self) -> dict[str, float]:
        """The figures of the last row; not-a-number if there is none."""
        row = self._rows[-1] if self._rows else dict.fromkeys(_COLUMNS, "nan")
        return {name: float(value) for name, value in row.items()}

    def config(self, config: TrainerConfig) -> None:
        """Shows the config as text and as hyper-parameters, by which TensorBoard compares runs."""
        fields = _flat(config.model_dump(mode="json"))
        rows = [(name, "null" if value is None else value) for name, value in fields.items()]
        with self._writer.as_default(step=0):
            tf.summary.text("config", tensorboard.markdown_table(("trainer.", "value"), rows))
            hparams.hparams({name: str(value) if value is None else value for name, value in fields.items()})

    def training(self, step: int, figures: Mapping[str, float], *, times: Mapping[str, float]) -> None:
        """Adds the figures of the steps up to `step`, and how many seconds of one went where."""
        row = {**figures, **{f"{name}_ms": 1000 * seconds for name, seconds in times.items()}}
        self._rows.append({name: f"{value:.6g}" for name, value in row.items()} | {"step": str(step)})
        if self.folder:
            self._write_history()
        memory = {"process_gib": _resident_bytes() / 2**30}
        for index, gpu in enumerate(tf.config.list_logical_devices("GPU")):
            memory[f"gpu{index}_gib"] = tf.config.experimental.get_memory_info(gpu.name)["peak"] / 2**30
        groups = {"train": figures, "step_ms": {k: 1000 * v for k, v in times.items()}, "memory": memory}
        for group, values in groups.items():
            self._scalars(group, step, values)

    def validation(self, step: int, figures: Mapping[str, float], *, similarities: np.ndarray) -> None:
        """Adds the figures of a look at the valid split after `step`, and its `(n, n)` similarities as a picture."""
        self._scalars("valid", step, figures)
        with self._writer.as_default(step=step):
            tf.summary.image("valid/similarity", _similarity_image(similarities))

    def views(self, model: DualEncoder, batch: Batch) -> None:
        """Shows the first clips of a batch as each branch's encoder is given them, augmented.

        Of a spectrum, the player has the mixed waveform that it is of, and the picture all that was done to it.
        """
        group = model.config.mixing_group  # holds the partners of the first
        batch = {name: values[:group] for name, values in batch.items()}
        draws = tf.random.stateless_uniform((len(batch["clip_id"]), model.draws_per_example), seed=(model.seed or 0, 0))
        with self._writer.as_default(step=0):
            for branch, name in enumerate(model.formats):
                sounds = model.mix(branch, pcm.to_float(batch["ab"[branch]]), training=True, draws=draws)
                views = model.to_format(branch, sounds, training=True, draws=draws)
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
        try:
            storage.write_text(self._history, "\n".join(lines) + "\n")
        except OSError as error:
            raise UserError(
                f"The history of the training cannot be written to {self._history} ({error.strerror}): make room, and "
                "run the same command again."
            ) from error


def _flat(config: Mapping[str, object], *, prefix: str = "") -> dict[str, object]:
    """Nested fields by their dotted names."""
    fields = {}
    for name, value in config.items():
        fields |= _flat(value, prefix=f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return fields


def _resident_bytes() -> int:
    """Memory of this process; 0 where there is no /proc."""
    statm = pathlib.Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


def _similarity_image(similarities: np.ndarray) -> np.ndarray:
    figure = tensorboard.figure(width=6, height=5)
    axes = figure.subplots()
    picture = axes.imshow(similarities, vmin=-1, vmax=1, cmap="RdBu_r")
    axes.set(title="cosine of projections, valid split", xlabel="view B of clip", ylabel="view A of clip")
    figure.colorbar(picture, ax=axes)
    return tensorboard.figure_image(figure)


def _spectrum_image(spectrum: np.ndarray, *, title: str, unit: str) -> np.ndarray:
    """`(frames, bands)` as a picture, time to the right."""
    figure = tensorboard.figure(width=8, height=3)
    axes = figure.subplots()
    axes.imshow(spectrum.T, origin="lower", aspect="auto", cmap="magma")
    axes.set(title=title, xlabel="frame", ylabel=unit)
    return tensorboard.figure_image(figure)
