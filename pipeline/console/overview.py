"""The overview of a run in TensorBoard: the table of its stages, scores and a picture of its lineage."""

import textwrap
import time
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Literal

from absl import logging

from components import markdown
from components.base import Tab
from pipeline import event_file
from pipeline.console import report
from pipeline.event_folders import OVERVIEW, EventFolders
from pipeline.lineage import graph, picture
from pipeline.metadata.executions import REFUSED, Run
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root
from pipeline.runner.graph import Pipeline

# Tags of the texts, which sort before those of the stages.
RUN = "0 overview/1 run"
SCORES = "0 overview/2 scores"
LINEAGE = "0 overview/lineage"
"""Tag of the picture."""

_LINE = 48
"""Characters in a line of a cell."""

State = Literal["in progress", "finished", "ended early"]


class Overview:
    """Keeps the overview of a run up to date. The run does not depend on it: what fails is a warning.

    Args:
        root: The root of the run.
        store: Its metadata.
        pipeline: Its stages.
        run: The run.
    """

    def __init__(self, root: Root, *, store: MetadataStore, pipeline: Pipeline, run: Run):
        self._root = root
        self._store = store
        self._run = run
        self._shows = {node.name: node.component.shows for node in pipeline.nodes}
        self._folders = EventFolders(root, pipeline.stages)
        self._has_failed = False
        self._pages: dict[str, str] = {}
        self._pictures: dict[str, event_file.Picture] = {}
        self._alarms: list[str] = []

    def begin(self) -> None:
        """Moves the event files of earlier runs to where this pipeline has them.

        The first overview is written when a stage starts or the run ends, which is at once if nothing has changed.
        """
        self._attempt(self._folders.renumber)

    def write(self, state: State = "in progress") -> None:
        """Writes the overview in place of the last one. When the run has ended, it has a picture of the lineage.

        Args:
            state: How the run stands.
        """

        def write() -> None:
            result = report.build(self._store, self._run, root=self._root)
            self._pages = pages(result, state=state, links=self._links())
            self._pictures = {} if state == "in progress" else {LINEAGE: self._draw_lineage()}
            self._write_pages()

        self._attempt(write)

    def alarm(self, text: str) -> None:
        """Adds a sentence to the overview, from any thread while a stage runs."""
        self._alarms.append(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}")
        self._attempt(self._write_pages)

    def _write_pages(self) -> None:
        alarms = "\n".join(f"* {markdown.escaped(text)}" for text in self._alarms)
        texts = {**self._pages, RUN: f"{self._pages[RUN]}\n\n{alarms}".rstrip()}
        event_file.write_texts(self._folders.overview, texts, pictures=self._pictures)

    def _attempt(self, action: Callable[[], None]) -> None:
        """Does something without which the run can go on. After a failure, nothing more is attempted."""
        if self._has_failed:
            return
        try:
            action()
        except Exception as error:  # Remote file systems raise errors of many types.
            self._has_failed = True
            logging.warning("%s cannot be written, so TensorBoard shows no overview: %s", self._root.tensorboard, error)

    def _draw_lineage(self) -> event_file.Picture:
        executions = self._store.executions(run=self._run)
        return picture.draw(graph.of_run(executions, self._store), stages=self._run.stages)

    def _links(self) -> dict[str, str]:
        """Returns links to what the stages of the run show, by stage."""
        links = {}
        for execution in self._store.executions(run=self._run):
            if execution.why != REFUSED:
                name = self._folders.run_name(stage=execution.stage, cache_key=execution.cache_key.digest)
                links[execution.stage] = _links(self._shows[execution.stage], name=name)
        return links


def pages(result: report.Report, *, state: State, links: Mapping[str, str]) -> dict[str, str]:
    """Returns the texts of the overview in Markdown, by tag: the table of the stages, and that of the scores.

    Args:
        result: The report of the run.
        state: How the run stands.
        links: Name of a stage -> links to what it shows.
    """
    rows = [
        (f"{number} {row.stage}", row.outcome, report.time_of(row), _result(row), links.get(row.stage, ""))
        for number, row in enumerate(result.stages, start=1)
    ]
    started, now = result.started.replace("T", " "), time.strftime("%Y-%m-%d %H:%M:%S")
    parts = [
        f"### Run {result.run}, preset {markdown.escaped(result.preset)}",
        f"Started {started}; **{state}** at {now}. A link filters the runs: clear the filter to see all of them again.",
        markdown.table(("Stage", "Outcome", "Time", "Result and why it ran or not", "What it shows"), rows),
    ]
    if state != "in progress":
        parts.append(f"[Its lineage as a picture]({_address('images', run=OVERVIEW)})")
    if result.saved_model:
        parts.append(f"SavedModel: `{result.saved_model}`")
    return {RUN: "\n\n".join(parts), SCORES: _scores(result.evaluation)}


def _scores(evaluation: Mapping[str, object]) -> str:
    if not evaluation.get("scores"):
        return "This run has no scores."
    table = markdown.table(report.SCORE_HEADER, report.score_rows(evaluation))
    return f"### {report.score_title(evaluation)}\n\n{table}"


def _links(shows: Mapping[Tab, str], *, name: str) -> str:
    """Returns a link for each tab with something of a stage, one below the other.

    Args:
        shows: Name of a tab -> what the stage shows there.
        name: What TensorBoard calls the stage's run.
    """
    return "<br>".join(f"[{words}]({_address(tab, run=name)})" for tab, words in shows.items())


def _address(tab: Tab, *, run: str) -> str:
    """Returns the address of what a run shows in a tab, which is relative to that of TensorBoard."""
    only = urllib.parse.quote(f"^{run}$", safe="")
    if tab == "scalars":  # Time Series leaves out what other runs show. The tab Scalars would draw empty curves.
        return f"?runFilter={only}#timeseries"
    if tab == "projector":  # It takes no filter.
        return "#projector"
    # A tag with any character: what matches is listed first.
    return f"#{tab}&regexInput={only}&tagFilter=."


def _result(row: report.StageRow) -> str:
    """Returns what a stage did and why, in short lines: a column with long ones takes the room of the others."""
    lines = [markdown.escaped(line) for line in textwrap.wrap(row.summary, _LINE)]
    if row.why not in report.OBVIOUS:
        lines += [f"*{markdown.escaped(line)}*" for line in textwrap.wrap(row.why, _LINE)]
    return "<br>".join(lines)
