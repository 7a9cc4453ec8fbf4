import errno
import fcntl
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys

import pytest
from etils import epath

from beam_jobs import storage
from beam_jobs.sources import files
from components.audio_example_gen import AudioExampleGen, AudioExampleGenConfig
from components.errors import UserError
from pipeline import cli
from pipeline.event_folders import EventFolders
from pipeline.metadata.executions import State
from pipeline.root import Root
from pipeline.runner import cache_key
from tests import users
from tests.pipeline.refusals import refusal
from tests.pipeline.runner import stages


def _move(root):
    return root.rename(root.with_name("moved"))


def _copy(root):
    copied = pathlib.Path(shutil.copytree(root, root.with_name("copied")))
    root.rename(root.with_name("kept elsewhere"))
    return copied


def _link(root):
    root.with_name("link").symlink_to(root)
    return root.with_name("link")


def _spell_with_dots(root):
    root.with_name("other").mkdir()
    return root.with_name("other") / ".." / root.name


class TestAnotherPath:
    @pytest.mark.parametrize("change", [_move, _copy, _link, _spell_with_dots])
    def test_reuses_everything(self, tmp_path, change):
        stages.run(tmp_path / "root", stages.build())
        root = change(tmp_path / "root")
        done = stages.run(root, stages.build())
        assert {execution.state for execution in done.values()} == {State.CACHED}
        model = done["Total"].outputs["model"].uri
        assert model.startswith(f"{root}/artifacts/")
        assert pathlib.Path(model, "total.json").exists()

    def test_paths_are_recorded_relative_to_the_root(self, tmp_path):
        stages.run(tmp_path / "root", stages.build())
        assert set(_recorded_uris(tmp_path / "root")) == {
            "artifacts/Numbers/examples/1",
            "artifacts/Census/statistics/2",
            "artifacts/Total/model/3",
            "artifacts/Total/run/3",
            "artifacts/Verdict/blessing/4",
        }

    @pytest.mark.parametrize("change", [lambda root: root, _move])
    def test_a_root_with_absolute_paths_of_an_earlier_version(self, tmp_path, change):
        stages.run(tmp_path / "root", stages.build())
        with sqlite3.connect(tmp_path / "root" / "metadata.sqlite") as database:
            database.execute("UPDATE Artifact SET uri = ? || '/' || uri", [str(tmp_path / "root")])
        database.close()
        root = change(tmp_path / "root")
        done = stages.run(root, stages.build())
        assert {execution.state for execution in done.values()} == {State.CACHED}
        assert all(uri.startswith("artifacts/") for uri in _recorded_uris(root))


def _recorded_uris(root):
    database = sqlite3.connect(root / "metadata.sqlite")
    uris = [uri for (uri,) in database.execute("SELECT uri FROM Artifact")]
    database.close()
    return uris


def test_the_command_line_recognizes_a_root_however_it_is_spelled(tmp_path, monkeypatch, capsys):
    arguments = ["run", "--preset", "quickstart", "--until", "SyntheticAudioGen"]
    arguments += ["synthetic_audio_gen.clips_train=2", "synthetic_audio_gen.clips_eval=2", "--root"]
    root = tmp_path / "root"
    assert cli.main([*arguments, str(root)]) == 0
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    for spelled in ("../root", f"{root}/", f"{tmp_path}/./root", "../link/root"):
        capsys.readouterr()
        assert cli.main([*arguments, spelled]) == 0
        assert "SyntheticAudioGen: skipped, nothing changed" in capsys.readouterr().out
    assert cli.main(["status", "--root", "../root"]) == 0


def test_data_has_one_cache_key_however_it_is_spelled(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.wav").write_bytes(b"audio")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    spellings = [str(tmp_path / "data"), "data", "./data/", "link", "data/../data"]
    components = [AudioExampleGen(AudioExampleGenConfig(source=spelling)) for spelling in spellings]
    digests = {cache_key.build(component, inputs={}).digest for component in components}
    (tmp_path / "data").rename(tmp_path / "moved")
    moved = AudioExampleGen(AudioExampleGenConfig(source=str(tmp_path / "moved")))
    digests.add(cache_key.build(moved, inputs={}).digest)
    assert len(digests) == 1


class TestReaders:
    @pytest.fixture
    def root(self, open_path):
        """A finished root."""
        stages.run(open_path / "root", stages.build())
        return open_path / "root"

    def test_status_writes_nothing(self, root, capsys):
        before = _state(root)
        assert cli.main(["status", "--root", str(root)]) == 0
        assert "total 3" in capsys.readouterr().out
        assert _state(root) == before

    @users.needs_root
    def test_status_of_a_read_only_root_of_another_user(self, root):
        status = users.run_as_unknown("status", "--root", root)
        assert (status.returncode, status.stderr) == (0, "")
        assert "total 3" in status.stdout

    @users.needs_root
    def test_a_killed_run_is_not_shown_as_running_where_nothing_can_be_locked(self, root):
        with sqlite3.connect(root / "metadata.sqlite") as database:
            database.execute("UPDATE Execution SET last_known_state = 2 WHERE id = 4")
        database.close()
        status = users.run_as_unknown("status", "--root", root)
        assert "killed" in status.stdout

    @users.needs_root
    def test_status_undoes_a_transaction_that_was_cut_in_two_in_a_copy(self, root):
        program = (
            "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('PRAGMA cache_size = 1');"
            'db.execute("UPDATE ExecutionProperty SET string_value = string_value || hex(zeroblob(9000))");'
            "os.kill(os.getpid(), 9)"
        )
        subprocess.run([sys.executable, "-c", program, str(root / "metadata.sqlite")])
        assert (root / "metadata.sqlite-journal").stat().st_size
        before = _state(root)
        status = users.run_as_unknown("status", "--root", root)
        assert (status.returncode, status.stderr) == (0, "")
        assert "total 3" in status.stdout
        assert "00000" not in status.stdout
        assert _state(root) == before

    @users.needs_root
    def test_a_run_on_a_root_that_cannot_be_written(self, root):
        run = users.run_as_unknown("run", "--preset", "quickstart", "--root", root)
        assert run.returncode == 2
        assert f"--root {root} cannot be used (Permission denied)" in run.stderr
        assert run.stderr.count("\n") == 1


@users.needs_root
def test_an_output_that_cannot_be_read_is_not_taken_for_gone(open_path):
    """Its stage would run again, for days, to fail when it publishes."""
    stages.run(open_path / "root", stages.build())
    model = open_path / "root" / "artifacts" / "Total" / "model"
    assert storage.is_folder(model)
    model.chmod(0o700)
    try:
        os.seteuid(users.UNKNOWN)
        with pytest.raises(PermissionError):
            storage.is_folder(model / "3")
    finally:
        os.seteuid(0)


@users.needs_root
def test_a_lock_that_may_not_be_read_does_not_count_as_held(tmp_path):
    (tmp_path / ".lock").write_text("process 1")
    (tmp_path / ".lock").chmod(0o600)
    try:
        os.seteuid(users.UNKNOWN)
        assert not Root(epath.Path(tmp_path)).is_locked()
    finally:
        os.seteuid(0)


def _state(root):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in [root, *root.rglob("*")]}


def test_a_file_system_without_record_locks_is_named(tmp_path, monkeypatch, capsys):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with pytest.raises(
        UserError, match=r"root .* has no record locks \(No locks available\).*: give a folder on a local"
    ):
        stages.run(tmp_path, stages.build())
    assert not Root(epath.Path(tmp_path)).is_locked()
    assert "has no record locks" in refusal(capsys, "run", "--preset", "quickstart", "--root", tmp_path)


def test_the_walk_over_sources_knows_what_is_in_a_root(tmp_path):
    root = Root(epath.Path(tmp_path))
    of_execution = [root.published(stage="S", output="o", execution_id=1), root.staging(1)]
    events = EventFolders(root, ["S"]).create(stage="S", cache_key="c" * 20)
    of_stage = [root.work(stage="S", cache_key="c" * 20), events]
    others = [root.report, root.log_file("1"), pathlib.Path(root.metadata_uri())]
    names = {os.path.relpath(path, tmp_path).split("/")[0] for path in (*of_execution, *of_stage, *others)}
    assert names == files.ROOT_ENTRIES
    with root.lock():
        assert (tmp_path / files.ROOT_MARK).is_file()


def test_a_root_whose_path_is_no_utf_8_is_refused_before_it_is_created(tmp_path):
    root = Root(epath.Path(os.path.join(tmp_path, os.fsdecode(b"Aufnahmen \xfc"))))
    with pytest.raises(UserError, match=r"--root .* is not spelled in UTF-8, .* rename it, or give"), root.lock():
        pass
    assert not list(tmp_path.iterdir())


def test_a_message_names_the_flag_of_the_command(tmp_path):
    (tmp_path / "file").touch()
    root = Root(epath.Path(tmp_path / "file"), flag="--output")
    with pytest.raises(UserError, match="^--output .*/file cannot be used"):
        root.check_folder()
    with pytest.raises(UserError, match="^--output .*/file cannot be used"), root.lock():
        pass
