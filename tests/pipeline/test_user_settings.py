import os
import stat

import pytest

from pipeline import user_settings
from tests import users

SMALL = ("synthetic_audio_gen.clips_train=4", "synthetic_audio_gen.clips_eval=2")


@users.needs_root
@pytest.mark.parametrize("home", [None, pytest.param("/proc", marks=pytest.mark.slow)])
def test_a_user_without_a_name_and_without_a_home_runs_a_pipeline(tmp_path, home):
    folder = users.folder_of_unknown(tmp_path / "of unknown")
    run = users.run_as_unknown(
        "run", "--preset", "quickstart", "--root", folder / "root", "--until", "AudioExampleGen", *SMALL, home=home
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert "AudioExampleGen: done in" in run.stdout
    again = users.run_as_unknown("status", "--root", folder / "root", home=home)
    assert (again.returncode, again.stderr) == (0, "")


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
