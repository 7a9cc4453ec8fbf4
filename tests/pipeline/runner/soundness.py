"""Checks that a root is sound, e.g. after a run was killed: nothing is half-published, and nothing is lost."""

import contextlib
import pathlib
import sqlite3

from etils import epath

from pipeline import checksums, dag, digests
from pipeline.metadata.executions import State
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root

_DANGLING = {
    # 3 and 5 are finished, and 4 is an output.
    "Execution": "last_known_state IN (3, 5) AND id NOT IN (SELECT execution_id FROM Event WHERE type = 4)",
    "Event": "artifact_id NOT IN (SELECT id FROM Artifact) OR execution_id NOT IN (SELECT id FROM Execution)",
    "EventPath": "event_id NOT IN (SELECT id FROM Event)",
    "Association": "context_id NOT IN (SELECT id FROM Context) OR execution_id NOT IN (SELECT id FROM Execution)",
    "Attribution": "context_id NOT IN (SELECT id FROM Context) OR artifact_id NOT IN (SELECT id FROM Artifact)",
    "ExecutionProperty": "execution_id NOT IN (SELECT id FROM Execution)",
    "ArtifactProperty": "artifact_id NOT IN (SELECT id FROM Artifact)",
}


def store_of(root):
    """Opens the metadata of a root to read it."""
    place = Root(epath.Path(root))
    return MetadataStore(place.metadata_uri(), pipeline=place.name, root=place.path, read_only=True)


def check(root, *, verified=None):
    """Checks a root, and returns the published artifacts that its metadata knows: path -> digest.

    Args:
        root: The root.
        verified: Folder -> sizes and times of its files when they were last read. They are not read again while these
            are the same. Updated.
    """
    _check_database(root / "metadata.sqlite")
    return _check_files(root, {} if verified is None else verified)


def _check_database(file):
    if not file.exists():  # The run was killed before it opened the store.
        return
    with contextlib.closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'Event'").fetchone() is None:
            return
        for table, is_dangling in _DANGLING.items():
            assert database.execute(f"SELECT * FROM {table} WHERE {is_dangling}").fetchall() == []


def _check_files(root, verified):
    known = {artifact.uri: artifact.digest for artifact in store_of(root).artifacts() if not artifact.is_removed}
    published = {str(folder): _signature(folder) for folder in root.glob("artifacts/*/*/*") if folder.is_dir()}
    assert known.keys() <= published.keys()
    for folder, signature in published.items():
        if verified.get(folder) == signature and folder in known:
            continue
        # Also one that a killed run has renamed, but not recorded, is whole.
        assert pathlib.Path(f"{folder}.sha256").exists(), folder
        assert checksums.altered_file(epath.Path(folder)) is None, folder
        if folder in known:
            assert digests.content_digest(epath.Path(folder), reports=_reports(folder)) == known[folder], folder
            verified[folder] = signature
    return known


def _reports(folder):
    stage = pathlib.Path(folder).parts[-3]
    return dag.COMPONENTS[stage].reports if stage in dag.COMPONENTS else ()  # Some tests have stages of their own.


def _signature(folder):
    stats = {path: path.stat() for path in folder.rglob("*")}
    return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


def check_finished(root):
    """Checks a root after a run that ended well: killed ones have left nothing behind."""
    store = store_of(root)
    known = check(root)
    assert not store.executions(states=[State.RUNNING])
    removed = {artifact.uri for artifact in store.artifacts() if artifact.is_removed}  # `diptych gc` was killed.
    assert {str(folder) for folder in root.glob("artifacts/*/*/*") if folder.is_dir()} - removed == set(known)
    assert not list(root.glob("staging/*"))
    return known
