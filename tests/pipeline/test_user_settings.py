import os
import stat

import pytest

from pipeline import user_settings
from tests import users
from tests.pipeline import tiny_run

SMALL = ("synthetic_audio_gen.clips_train=4", "synthetic_audio_gen.clips_eval=2")


@pytest.fixture(params=["without", "read-only"])
def home(request, open_path):
    if request.param == "without":
        return None
    (open_path / "home").mkdir(mode=0o755)  # Root owns it.
    return open_path / "home"


@users.needs_root
@pytest.mark.slow
def test_a_user_without_a_name_and_without_a_home_runs_a_pipeline(open_path):
    folder = users.folder_of_unknown(open_path / "of unknown")
    run = users.run_as_unknown(
        "run", "--preset", "quickstart", "--root", folder / "root", "--until", "AudioExampleGen", *SMALL
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert "AudioExampleGen: done in" in run.stdout
    again = users.run_as_unknown("status", "--root", folder / "root")
    assert (again.returncode, again.stderr) == (0, "")


@pytest.mark.slow
@users.needs_root
@pytest.mark.parametrize("name", ["of unknown", "of [unknown]\\"])
def test_all_commands_serve_a_user_without_a_name_and_without_a_home(open_path, home, name):
    parent = open_path / "traversed"
    parent.mkdir()
    folder = users.folder_of_unknown(parent / name)
    parent.chmod(0o711)  # It can be passed through, but not be listed.
    clips, root = open_path / "clips", folder / "root"
    tiny_run.write_clips(clips)
    examples = root / "artifacts/AudioExampleGen/examples/1"
    model = root / "artifacts/Exporter/saved_model/5"
    commands = [
        ("run", "--plan", *tiny_run.command(clips, root)[1:]),
        tiny_run.command(clips, root),
        ("run", "--plan", *tiny_run.command(clips, root)[1:]),
        ("status", "--root", root),
        ("train", "--preset", "tiny", "--examples", examples, *tiny_run.TRAINING, "--output", folder / "trained"),
        ("embed", "--model", model, "--output", folder / "e.npz", clips / "0.wav"),
        ("config", "--preset", "tiny"),
    ]
    for command in commands:
        done = users.run_as_unknown(*command, home=home)
        # What takes long says how far it is.
        errors = [line for line in done.stderr.splitlines() if not line.startswith("embed: ")]
        assert (done.returncode, errors) == (0, []), command


def test_a_home_that_cannot_be_written_is_replaced_for_the_caches(tmp_path, monkeypatch):
    monkeypatch.setattr(user_settings.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(os, "environ", {"HOME": str(tmp_path)})
    user_settings.apply()
    assert "MPLCONFIGDIR" not in os.environ
    os.environ["HOME"] = str(tmp_path / "gone")
    user_settings.apply()
    folder = tmp_path / f"diptych-{os.getuid()}"
    assert os.environ["MPLCONFIGDIR"] == str(folder / "matplotlib")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert os.environ["HOME"] == str(tmp_path / "gone")


def test_a_user_without_a_home_gets_one(tmp_path, monkeypatch):
    monkeypatch.setattr(user_settings.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # As Python does where /etc/passwd lacks the user.
    user_settings.apply()
    assert os.environ["HOME"] == str(tmp_path / f"diptych-{os.getuid()}")
