"""One contender with one seed, in a process of its own. What has finished is kept in a folder."""

import dataclasses
import hashlib
import json
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tests.benchmarks import measuring
from tests.benchmarks.rivals.contenders import CONTENDERS, Contender

if TYPE_CHECKING:
    from components.trainer.config import TrainerConfig
    from models.dual import DualEncoder
    from tests.benchmarks.rivals.training import Trained


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """What decides a result.

    Attributes:
        name: One of `CONTENDERS`.
        seed: See `Contender.config`.
        changes: See `Contender.config`.
        cpu_minutes: Processor time of the training.
    """

    name: str
    seed: int
    changes: Sequence[str]
    cpu_minutes: float

    def result(self, work: pathlib.Path) -> dict:
        """Returns the result, from the folder or from a fresh process that writes it there.

        Args:
            work: The folder, with the examples in `examples`.
        """
        file = self._file(work)
        if not file.exists():
            result = measuring.in_a_fresh_process(__name__, json.dumps(dataclasses.asdict(self)), work / "examples")
            file.parent.mkdir(exist_ok=True)
            unfinished = file.with_suffix(".unfinished")
            unfinished.write_text(json.dumps(result, indent=1))
            unfinished.replace(file)
        return json.loads(file.read_text())

    def has_finished(self, work: pathlib.Path) -> bool:
        """Returns whether the folder has the result."""
        return self._file(work).exists()

    def _file(self, work: pathlib.Path) -> pathlib.Path:
        return work / "cells" / f"{self.name}-{self.seed}-{self._digest()}.json"

    def _digest(self) -> str:
        """Returns a digest of all that decides the result, so that a result of other settings is not taken for it."""
        contender = CONTENDERS[self.name]
        config = contender.config(seed=self.seed, changes=self.changes).model_dump_json()
        minutes = self.cpu_minutes if contender.is_trained else 0
        return hashlib.sha256(f"{contender.method} {minutes} {config}".encode()).hexdigest()[:12]


def measure(cell: Cell, examples_folder: pathlib.Path) -> dict:
    """Trains and scores.

    Args:
        cell: What to measure.
        examples_folder: The folder of examples.

    Returns:
        `scores`, see `scores.Scores`; of a trained contender also `parameters` of its encoders, the fields of
        `training.Trained`, and `passes` over the clips.
    """
    # Imported here because the parent process needs no TensorFlow.
    from beam_jobs import examples
    from beam_jobs.embedding.embedder import Framing
    from components.embedder import baselines
    from components.embedder.loaders import UntrainedLoader
    from models.subclip_starts import half_crop
    from tests.benchmarks.rivals import scores

    contender = CONTENDERS[cell.name]
    config = contender.config(seed=cell.seed, changes=cell.changes)
    info = examples.read_info(examples_folder)
    with tempfile.TemporaryDirectory() as folder:
        figures: Mapping[str, object] = {}
        if contender.method == "baseline":
            crop = round(config.model.crop_seconds * config.model.sample_rate)
            framing = Framing(sample_rate=info.sample_rate, window_samples=crop, hop_samples=half_crop(crop))
            loader = baselines.parse(cell.name, framing=framing)
        else:
            figures = _train(contender, cell, examples_folder, clips=info.splits["train"], folder=folder)
            loader = UntrainedLoader(folder)
        found = scores.score(loader, info)
    return {**figures, "scores": {name: dataclasses.asdict(one) for name, one in found.items()}}


def _train(
    contender: Contender, cell: Cell, examples_folder: pathlib.Path, *, clips: int, folder: str
) -> dict[str, object]:
    """Trains, if the contender is trained at all, and writes its model where `UntrainedLoader` finds it."""
    # Imported here because the parent process needs no TensorFlow.
    import keras

    from components.trainer.model import build_model

    config = contender.config(seed=cell.seed, changes=cell.changes)
    figures: dict[str, object] = {}
    if contender.is_trained:
        model, trained = _fit(contender, config, examples_folder, cpu_minutes=cell.cpu_minutes)
        figures = {**dataclasses.asdict(trained), "passes": trained.steps * config.batch_size / clips}
    else:
        keras.utils.set_random_seed(config.seed + 1)
        model = build_model(config.model, seed=config.seed)
    model.save(pathlib.Path(folder) / "initial.keras")
    return {"parameters": sum(encoder.count_params() for encoder in model.encoders.values()), **figures}


def _fit(
    contender: Contender, config: "TrainerConfig", examples_folder: pathlib.Path, *, cpu_minutes: float
) -> tuple["DualEncoder", "Trained"]:
    """Returns the trained model, and how the training went."""
    # Imported here because the parent process needs no TensorFlow.
    from tests.benchmarks.rivals import byol_a, cola, log_mel_first, methods, training

    if contender.method == "log_mel_first":
        return log_mel_first.train(config, examples_folder, cpu_minutes=cpu_minutes)
    build = {"diptych": methods.Diptych, "cola": cola.Cola, "byol_a": byol_a.ByolA}[contender.method]
    method = build(config, examples_folder)
    return method.model, training.train(method, config, cpu_minutes=cpu_minutes)


def main() -> None:
    """Measures one cell in a process that the benchmark started."""
    # Imported here because only this process has arguments.
    import sys

    cell, folder = sys.argv[1:]
    print(json.dumps(measure(Cell(**json.loads(cell)), pathlib.Path(folder))))


if __name__ == "__main__":
    main()
