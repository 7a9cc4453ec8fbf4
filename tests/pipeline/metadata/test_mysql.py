"""Metadata in MySQL, with ml-metadata and a MariaDB server that the test starts."""

import dataclasses
import pathlib
import signal
import subprocess
import sys

import pytest

from components.errors import UserError
from pipeline import cli
from pipeline.metadata import opening
from pipeline.metadata.executions import CacheKey, Execution, Run, State
from pipeline.metadata.store import MetadataStore
from tests import mariadb, processes
from tests.pipeline.refusals import refusal
from tests.pipeline.runner import chain, stages

pytest.importorskip("ml_metadata", reason="ml-metadata has no build for this Python")
pytestmark = mariadb.needed

REPOSITORY = pathlib.Path(__file__).parents[3]


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    with mariadb.server(tmp_path_factory.mktemp("mariadb")) as uri:
        yield uri


def executions(root, store):
    """Returns the executions of the last run as they are in a store, without ids and times."""
    found = store.executions(run=store.runs()[-1])
    for execution in found:
        execution.figures.pop("cpu_s", None)
        for artifact in execution.outputs.values():
            artifact.id, artifact.uri = None, artifact.uri.removeprefix(f"{root}/").rpartition("/")[0]
    return [dataclasses.replace(execution, id=None, seconds=0, started_ms=0, why="") for execution in found]


def test_every_command_says_of_mysql_what_it_says_of_sqlite(tmp_path, uri, capsys):
    roots = {uri: tmp_path / "mysql", None: tmp_path / "sqlite"}
    for seed in (1, 3, 2):
        for metadata, root in roots.items():
            stages.run(root, chain.build(seed), metadata=metadata)
    stores = {
        root: MetadataStore(metadata or str(root / "metadata.sqlite"), pipeline="test", root=root, read_only=True)
        for metadata, root in roots.items()
    }
    theirs, ours = (executions(root, store) for root, store in stores.items())
    assert theirs == ours
    # Both roots are new, so the name of the pipeline, by which commands find their runs, is that of the folder.
    printed = {}
    for metadata, root in roots.items():
        (root / ".pipeline").write_text("test")
        capsys.readouterr()
        for command in (["lineage", "Trainer/first/9"], ["gc"], ["gc", "--delete"], ["lineage", "Trainer/first/3"]):
            arguments = [*command, "--root", str(root), *(["--metadata", metadata] if metadata else [])]
            assert cli.main(arguments) == 0
        text = capsys.readouterr().out
        printed[root] = [line.split("  ")[0] if "artifacts" not in line else line for line in text.splitlines()]
    assert printed[roots[uri]] == printed[roots[None]]
    trained = [folder.name for folder in roots[uri].glob("artifacts/Trainer/first/*") if folder.is_dir()]
    assert sorted(trained) == ["15", "9"]


def test_a_killed_run_is_swept_by_the_next(tmp_path, uri):
    command = [
        sys.executable,
        "-m",
        "tests.pipeline.runner.program",
        str(tmp_path),
        "--seconds",
        "1",
        "--metadata",
        uri,
    ]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    processes.wait_until(lambda: list(tmp_path.glob("work/Total/*/step")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = stages.run(tmp_path, stages.build(total={"seconds": 1}), metadata=uri)
    assert done["Numbers"].state == State.CACHED
    assert done["Total"].why == "interrupted last time"
    assert done["Total"].figures["first"] > 0


def test_two_roots_in_one_database_do_not_see_each_other(tmp_path, uri):
    stores = [MetadataStore(uri, pipeline=name, root=tmp_path / name) for name in ("one", "two")]
    (tmp_path / "one").mkdir()
    run = stages.Root(tmp_path / "one")
    key = CacheKey(stage="Trainer", version=1, libraries={}, config={"a": "ü 鳥 'x'"}, inputs={}, external={})
    put = Execution(cache_key=key, state=State.COMPLETE, summary="ü 鳥 \\ \"x\" 'y'")
    made = Run(name="r", stages=("Trainer",))
    stores[0].start_run(made)
    stores[0].put(put, run=made)
    assert [len(store.runs()) for store in stores] == [1, 0]
    assert [len(store.executions(stage="Trainer")) for store in stores] == [1, 0]
    (read,) = stores[0].executions(stage="Trainer", cache_key=key.digest)
    assert (read.cache_key, read.summary) == (key, put.summary)
    assert run.path.exists()


def test_a_wrong_password_is_one_sentence_without_it(uri, tmp_path, capsys):
    wrong = uri.replace("me:", "me:secret")
    with pytest.raises(UserError, match="cannot be opened"):
        opening.open_records(wrong)
    message = refusal(capsys, "status", "--root", tmp_path, "--metadata", wrong)
    assert "check that the server runs, and the host, database, user and password" in message
    assert "secret" not in message
