"""Asks TensorBoard's own server what it shows of a folder of event files."""

import contextlib
import json
import pathlib
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Iterator

from tensorboard import program
from tensorboard.backend.event_processing import event_file_loader
from tensorboard.compat.proto.event_pb2 import Event

PLUGINS = ("scalars", "images", "audio", "text")
"""The plugins that list tags. The others that are used are hparams, PR curves and the projector."""


def written(folder: pathlib.Path) -> dict[tuple[str, str], set[str]]:
    """Returns (run, tag) -> the plugins that its summaries were written for, from the event files themselves."""
    plugins = defaultdict(set)
    for file in pathlib.Path(folder).rglob("*tfevents*"):
        run = str(file.parent.relative_to(folder))
        for event in event_file_loader.EventFileLoader(str(file)).Load():
            for value in _values(event):
                name = value.metadata.plugin_data.plugin_name
                if name:
                    plugins[run, value.tag].add(name)
    return dict(plugins)


def _values(event: Event):
    return event.summary.value if event.HasField("summary") else ()


class Server:
    """The HTTP API of a running TensorBoard."""

    def __init__(self, url: str):
        self._url = url.rstrip("/")

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"{self._url}/{path}", timeout=30) as answer:
            return answer.read()

    def json(self, path: str, **query: str | int):
        return json.loads(self.get(f"{path}?{urllib.parse.urlencode(query)}"))

    def tags(self, plugin: str) -> set[tuple[str, str]]:
        """Returns the (run, tag) that the tab of a plugin lists."""
        runs = self.json(f"data/plugin/{plugin}/tags")
        return {(run, tag) for run, tags in runs.items() for tag in tags}


@contextlib.contextmanager
def serve(folder: pathlib.Path) -> Iterator[Server]:
    """Starts TensorBoard on a folder."""
    board = program.TensorBoard()
    # Read in this process and once, so that everything is there when the server answers.
    board.configure(argv=[None, "--logdir", str(folder), "--port", "0", "--load_fast=false", "--reload_interval=0"])
    yield Server(board.launch())


@contextlib.contextmanager
def serve_fast(folder: pathlib.Path) -> Iterator[Server]:
    """Starts TensorBoard as users do: a server of its own reads the event files, again every second."""
    board = program.TensorBoard()
    board.configure(argv=[None, "--logdir", str(folder), "--port", "0", "--load_fast=true", "--reload_interval=1"])
    yield Server(board.launch())


def check_tags(folder: pathlib.Path) -> set[tuple[str, str]]:
    """Checks that TensorBoard shows all that was written, under the plugin that it was written for.

    TensorBoard shows a tag under one plugin only, so two summaries of different kinds must not share one.

    Returns:
        The (run, tag) that were written.
    """
    tags = written(folder)
    assert not {tag: plugins for tag, plugins in tags.items() if len(plugins) > 1}
    with serve(folder) as server:
        for plugin in PLUGINS:
            expected = {tag for tag, plugins in tags.items() if plugins == {plugin}}
            assert server.tags(plugin) == expected
            for run, tag in expected:
                _check_content(server, plugin, run=run, tag=tag)
        others = {plugin for plugins in tags.values() for plugin in plugins} - set(PLUGINS)
        assert others <= {"hparams", "pr_curves"}
        curves = {tag for tag, plugins in tags.items() if plugins == {"pr_curves"}}
        assert (server.tags("pr_curves") if curves else set()) == curves
        for run, tag in curves:
            (curve,) = server.json("data/plugin/pr_curves/pr_curves", run=run, tag=tag)[run]
            assert max(curve["recall"]) == 1
        for run in server.json("data/plugin/projector/runs"):
            assert server.json("data/plugin/projector/info", run=run)["embeddings"]
    return set(tags)


def _check_content(server: Server, plugin: str, *, run: str, tag: str) -> None:
    """Checks that a plugin returns what its tab shows of a tag."""
    rows = server.json(f"data/plugin/{plugin}/{plugin}", run=run, tag=tag)
    assert rows
    if plugin in ("images", "audio"):
        page = {"images": "individualImage", "audio": "individualAudio"}[plugin]
        content = server.get(f"data/plugin/{plugin}/{page}?{rows[0]['query']}")
        assert content.startswith({"images": b"\x89PNG", "audio": b"RIFF"}[plugin])
    elif plugin == "text":
        assert rows[0]["text"].strip()
