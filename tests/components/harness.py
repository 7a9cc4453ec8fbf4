"""Executes one component in a folder, as the runner does."""

import dataclasses

from etils import epath
from tensorboard.backend.event_processing import event_accumulator

from components import base


class RecordedProgress:
    """A `base.Progress` that keeps every call.

    Attributes:
        updates: `(done, total, unit)` of each call.
        figures: The figures of each call.
    """

    def __init__(self):
        self.updates: list[tuple[int, int, str]] = []
        self.figures: list[dict[str, float | int | str]] = []

    def update(self, done, *, total, unit, **figures):
        self.updates.append((done, total, unit))
        self.figures.append(figures)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Execution:
    """What a component returned and where it wrote."""

    result: base.StageResult
    outputs: dict[str, epath.Path]
    context: base.StageContext

    @property
    def progress(self) -> RecordedProgress:
        return self.context.progress

    def tags(self) -> set[str]:
        """Returns the tags of everything in the event files."""
        accumulator = event_accumulator.EventAccumulator(str(self.context.tensorboard_dir))
        accumulator.Reload()
        return {tag for tags in accumulator.Tags().values() if isinstance(tags, list) for tag in tags}


def execute(component, folder, *, progress=None, previous=None, keep_outputs=False, **inputs) -> Execution:
    """Checks and executes a component.

    Executed again in the same folder, a component finds its work folder as it left it, and empty outputs.

    Args:
        component: The component.
        folder: Gets the folders `outputs`, `work` and `tensorboard`.
        progress: A `RecordedProgress` of the test's own.
        previous: Outputs of an earlier execution, by channel.
        keep_outputs: Whether what is in the output folders stays there.
        inputs: Folder of each input channel.
    """
    folder = epath.Path(folder)
    outputs = {name: folder / "outputs" / name for name in component.outputs}
    for path in outputs.values():
        if path.exists() and not keep_outputs:
            path.rmtree()
    for path in (*outputs.values(), folder / "work"):
        path.mkdir(parents=True, exist_ok=True)
    context = base.StageContext(
        work_dir=folder / "work",
        tensorboard_dir=folder / "tensorboard",
        progress=progress or RecordedProgress(),
        previous=previous or {},
    )
    component.check()
    inputs = {name: epath.Path(path) for name, path in inputs.items()}
    result = component.execute(inputs=inputs, outputs=outputs, context=context)
    return Execution(result=result, outputs=outputs, context=context)
