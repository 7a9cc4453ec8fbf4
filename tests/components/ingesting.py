"""Runs one of the data stages the way the runner does, with folders of the test's own."""

import dataclasses
import pathlib

from etils import epath

from components import base


class Recorder:
    """A `base.Progress` that remembers."""

    def __init__(self):
        self.updates, self.figures = [], []

    def update(self, done, *, total, unit, **figures):
        self.updates.append((done, total, unit))
        self.figures.append(figures)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    result: base.StageResult
    outputs: dict[str, epath.Path]
    tensorboard_dir: pathlib.Path
    updates: list[tuple[int, int, str]]
    figures: list[dict]

    def tags(self):
        """The names of everything in the event files."""
        from tensorboard.backend.event_processing import event_accumulator

        accumulator = event_accumulator.EventAccumulator(str(self.tensorboard_dir))
        accumulator.Reload()
        return {tag for tags in accumulator.Tags().values() if isinstance(tags, list) for tag in tags}


def run(component, folder, *, previous=None, **inputs):
    """Checks and executes `component`; `inputs` are the folders by channel. Again in the same folder, it goes on."""
    folder = epath.Path(folder)
    outputs = {name: folder / "outputs" / name for name in component.outputs}
    for path in outputs.values():
        if path.exists():
            path.rmtree()
    for path in (*outputs.values(), folder / "work"):
        path.mkdir(parents=True, exist_ok=True)
    recorder = Recorder()
    context = base.StageContext(
        work_dir=folder / "work",
        tensorboard_dir=folder / "tensorboard",
        progress=recorder,
        previous=previous or {},
    )
    component.check()
    result = component.execute(
        inputs={name: epath.Path(path) for name, path in inputs.items()}, outputs=outputs, context=context
    )
    tensorboard_dir = pathlib.Path(folder / "tensorboard")
    return Run(
        result=result,
        outputs=outputs,
        tensorboard_dir=tensorboard_dir,
        updates=recorder.updates,
        figures=recorder.figures,
    )
