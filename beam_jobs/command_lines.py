"""Commands that Diptych prints. Pasted into a shell they work, in any folder and whatever is on its PATH."""

import os
import pathlib
import shlex
import sys
import sysconfig

_ROOT = pathlib.Path(__file__).absolute().parents[1]
"""The folder that holds our packages: a clone, or that of an installed Diptych."""


def diptych(*arguments: str) -> str:
    """Returns a command of this Diptych, e.g. "/home/me/diptych/.venv/bin/diptych status --preset tiny"."""
    return shlex.join([*_diptych(), *arguments])


def tensorboard(folder: str) -> str:
    """Returns the command that shows a folder of event files, which is absolute or in a bucket."""
    script = _script("tensorboard")
    return shlex.join([*([script] if script else [_python(), "-m", "tensorboard.main"]), "--logdir", folder])


def make(target: str) -> str:
    """Returns the command that makes a target of the Makefile of this clone, or "" if this is none."""
    is_clone = (_ROOT / "Makefile").exists() and (_ROOT / "setup.cfg").exists()
    return shlex.join(["make", target, "-C", str(_ROOT)]) if is_clone else ""


def pip_install(*packages: str) -> str:
    """Returns the command that installs packages for this Python."""
    return shlex.join([_python(), "-m", "pip", "install", *packages])


def _diptych() -> list[str]:
    """Returns the words that start this Diptych: the script that was called, or that beside this Python."""
    called = pathlib.Path(sys.argv[0])
    is_module = called.absolute() in (_ROOT / "pipeline" / "cli.py", _ROOT / "pipeline" / "__main__.py")
    script = str(called.absolute()) if called.name == "diptych" and called.exists() else _script("diptych")
    # Python finds the packages in its folder, which is that of the clone, or in PYTHONPATH. Other shells have neither.
    path = [os.path.abspath(folder) for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    if is_module or not script:
        path = list(dict.fromkeys([str(_ROOT), *path]))
        words = [_python(), "-m", "pipeline"]
    else:
        words = [script]
    return [*(["env", f"PYTHONPATH={os.pathsep.join(path)}"] if str(_ROOT) in path else []), *words]


def _script(name: str) -> str:
    """Returns the path of a script of a package that is installed for this Python, or "" if there is none."""
    user = sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user"))
    # Not the folder that a link to the interpreter leads to: a virtual environment is full of such links.
    for folder in (os.path.dirname(_python()), sysconfig.get_path("scripts"), user):
        script = os.path.join(folder, name)
        if os.access(script, os.X_OK) and not os.path.isdir(script):
            return script
    return ""


def _python() -> str:
    return sys.executable or "python3"
