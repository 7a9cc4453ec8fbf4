"""Training by itself: no pipeline, no metadata, so that the same command can run on every machine that takes part."""

import json
import time
import uuid

from etils import epath

from components.base import StageContext, StageResult
from components.errors import UserError
from components.trainer import Trainer, TrainerConfig
from pipeline.console.progress import Display, duration


def train(config: TrainerConfig, *, examples: str, output: str, display: Display) -> StageResult:
    """Trains on a folder of examples, or goes on where the same command was stopped.

    Args:
        config: Of the Trainer.
        examples: What AudioExampleGen published, local or gs://.
        output: Gets `model/` (for `diptych run --import`), `model_run/`, `tensorboard/` and `work/` with the
            checkpoints. Of several machines all name the same place.
        display: Where progress is shown.

    Raises:
        UserError: if the config does not fit the examples or the output, or another config was trained there.
    """
    trainer, place = Trainer(config), epath.Path(output)
    trainer.check()
    if not (epath.Path(examples) / "dataset_info.json").exists():
        raise UserError(
            f"--examples {examples}: there is no dataset_info.json; give the folder that AudioExampleGen published, "
            "e.g. runs/tiny/artifacts/AudioExampleGen/examples/2."
        )
    _claim(place, config, examples=examples)
    outputs = {name: place / name for name in trainer.outputs}
    work = place / "work"
    for folder in (*outputs.values(), work):
        folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with display.stage(trainer.name) as progress:
        result = trainer.execute(
            inputs={"examples": epath.Path(examples)},
            outputs=outputs,
            context=StageContext(work_dir=work, tensorboard_dir=place / "tensorboard", progress=progress),
        )
    display.say(f"{trainer.name}: done in {duration(time.monotonic() - started)}, {result.summary}, in {place}")
    return result


def _claim(place: epath.Path, config: TrainerConfig, *, examples: str) -> None:
    """Notes what a place is for, and refuses another config or other examples once there is a checkpoint."""
    note = place / "config.json"
    fields = config.model_dump(mode="json", exclude=set(config.incidental))
    text = json.dumps({"examples": examples, "trainer": fields}, indent=1)
    try:
        if note.exists() and note.read_text() == text:
            return
        checkpoints = place / "work" / "checkpoints"
        if note.exists() and checkpoints.exists() and any(checkpoints.iterdir()):
            raise UserError(
                f"--output {place} holds a training with another config or other examples, see {note}: name another "
                "folder, remove this one, or give the same as before."
            )
        place.mkdir(parents=True, exist_ok=True)
        unfinished = place / f"config.json.{uuid.uuid4().hex[:8]}"  # several machines may start at once
        unfinished.write_text(text)
        unfinished.replace(note)
    except OSError as error:
        raise UserError(f"--output {place} cannot be written ({error.strerror}): name another folder.") from error
