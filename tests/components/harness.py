"""Executes one component in a folder, as the runner does."""

import dataclasses

from etils import epath
from tensorboard.backend.event_processing import event_accumulator

from components import base


class RecordedProgress:
    """A `base.Progress` that keeps all calls.

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
    """What a component has returned and where it has written."""

    result: base.StageResult
    outputs: dict[str, epath.Path]
    context: base.StageContext

    @property
    def progress(self) -> RecordedProgress:
        return self.context.progress

    def tags(self) -> set[str]:
        """Returns the tags of all summaries in the event files."""
        tags = _events(self.context.tensorboard_dir).Tags()
        return {tag for names in tags.values() if isinstance(names, list) for tag in names}


def logged_steps(folder, tag) -> list[int]:
    """Returns the steps of a scalar in the event files of a folder, in their order, also if they come twice."""
    return [event.step for event in _events(folder).Tensors(tag)]


def _events(folder) -> event_accumulator.EventAccumulator:
    return event_accumulator.EventAccumulator(str(folder), purge_orphaned_data=False).Reload()


def execute(
    component,
    folder,
    *,
    progress=None,
    previous=None,
    earlier_work_dirs=(),
    extended=None,
    keep_outputs=False,
    **inputs,
) -> Execution:
    """Checks and executes a component.

    A second execution in the same folder finds the work folder as the first one left it. Its outputs start empty.

    Args:
        component: The component.
        folder: Gets the folders `outputs`, `work` and `tensorboard`.
        progress: Receives the progress; None for a `RecordedProgress`.
        previous: Outputs of an earlier execution, by channel.
        earlier_work_dirs: Work folders of interrupted executions.
        extended: Outputs of the execution that it extends, by channel; {} for none.
        keep_outputs: Whether to keep the content of the output folders.
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
        earlier_work_dirs=earlier_work_dirs,
        extended=extended,
    )
    component.check()
    inputs = {name: epath.Path(path) for name, path in inputs.items()}
    result = component.execute(inputs=inputs, outputs=outputs, context=context)
    return Execution(result=result, outputs=outputs, context=context)
