"""The commands that run the cells of an experiment one by one, on any machine."""

from collections.abc import Iterator

from beam_jobs import command_lines
from pipeline import paths
from pipeline.experiments.study import Study


def of_cells(study: Study) -> Iterator[str]:
    """Yields a command for each cell. It runs all seeds of the cell in a root of its own below that of the study.

    Two commands can therefore run at once. Where their machines do not share the folder, its copies can be put together
    afterwards; the command without `--print` finds what has finished in them.
    """
    request = study.request
    for cell in study.selected:
        words = ["ablate", request.experiment.name, "--preset", request.preset]
        if request.data is not None:
            words += ["--data", paths.absolute(request.data)]
        words += ["--root", str(study.roots.own(cell)), "--seeds", str(request.seeds), "--budget", study.budget.text]
        yield command_lines.diptych(*words, "--only", cell.name, *request.assignments)
