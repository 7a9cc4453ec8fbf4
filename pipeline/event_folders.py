"""Where the stages of a run write their event files, so that TensorBoard lists them in the order in which they run."""

import re
from collections.abc import Iterable, Sequence

from etils import epath

from beam_jobs import google_storage, storage
from pipeline import event_file
from pipeline.root import Root

OVERVIEW = "0 overview"
"""Name of the folder with the overview of the last run; see `pipeline.console.overview`."""

_NUMBERED = re.compile(r"(?:\d+ )?(\w+)")


class EventFolders:
    """The folders below `tensorboard/`, numbered in the order of a pipeline.

        0 overview/
        1 AudioExampleGen/4b0badaa/
        2 StatisticsGen/5e405971/

    TensorBoard sorts the folders by name, so from ten stages on each number has two digits. Below the folder of a stage
    there is one for each cache key, because executions with other configs are other curves.

    Args:
        root: The root of the run.
        stages: The stages of its pipeline, in order.
    """

    def __init__(self, root: Root, stages: Sequence[str]):
        digits = len(str(len(stages)))
        self._folder = root.tensorboard
        self._places = {stage: place for place, stage in enumerate(stages, start=1)}
        self._names = {stage: f"{place:0{digits}} {stage}" for stage, place in self._places.items()}

    @property
    def overview(self) -> epath.Path:
        """The folder of the overview."""
        return self._folder / OVERVIEW

    def run_name(self, *, stage: str, cache_key: str) -> str:
        """Returns what TensorBoard calls an execution, e.g. "1 AudioExampleGen/4b0badaa".

        Executions with the same cache key have the same name.
        """
        return f"{self._names[stage]}/{cache_key[:8]}"

    def create(self, *, stage: str, cache_key: str) -> epath.Path:
        """Returns the folder for the event files of an execution, which is there afterwards."""
        folder = self._folder / self.run_name(stage=stage, cache_key=cache_key)
        folder.mkdir(parents=True, exist_ok=True)
        event_file.write_place(folder, self._places[stage])
        return folder

    def remove(self, *, stage: str, cache_key: str) -> None:
        """Removes the event files of an execution."""
        storage.remove_tree(self._folder / self.run_name(stage=stage, cache_key=cache_key))

    def renumber(self) -> None:
        """Moves the event files of earlier runs to where this pipeline has them.

        A stage gets another number when one is added before it, and earlier versions of Diptych had no numbers. Stages
        that this pipeline does not have stay where they are.

        Raises:
            OSError: The folders cannot be read or written.
        """
        if not google_storage.is_used_for(self._folder) and not self._folder.exists():
            return
        names = storage.file_sizes(self._folder)  # On a bucket, one listing says all.
        for entry in sorted({name.partition("/")[0] for name in names if "/" in name}):
            numbered = _NUMBERED.fullmatch(entry)
            stage = numbered.group(1) if numbered else ""
            if stage not in self._names:
                continue
            if entry != self._names[stage]:
                _move_files(self._folder / entry, self._folder / self._names[stage])
            for execution, files in _by_folder(
                name.partition("/")[2] for name in names if name.startswith(f"{entry}/")
            ):
                folder = self._folder / self._names[stage] / execution
                event_file.write_place(folder, self._places[stage], among=files)


def _by_folder(names: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Returns the folders at the top of relative names, each with the names of the files that are directly in it."""
    found: dict[str, list[str]] = {}
    for name in names:
        folder, slash, file = name.partition("/")
        if slash:
            found.setdefault(folder, []).extend([] if "/" in file else [file])
    return sorted(found.items())


def _move_files(source: epath.Path, target: epath.Path) -> None:
    """Moves all below a folder to another one, which may exist. Called again, it finishes what was cut short."""
    for name in storage.file_sizes(source):
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        (source / name).replace(file)
    storage.remove_tree(source)
