"""The packages of the extra `vertex`, which most users do without."""

import importlib.util

from beam_jobs import command_lines
from components.errors import UserError


def check(*modules: str, command: str) -> None:
    """Checks that modules are installed, without importing them.

    Args:
        modules: Names of modules, such as "kfp".
        command: The command that needs them.

    Raises:
        UserError: One is not installed.
    """
    for module in modules:
        if not _is_installed(module):
            install = command_lines.make("install-vertex") or command_lines.pip_install("diptych[pipeline,vertex]")
            raise UserError(f"`diptych {command}` needs the package {module}: install it with `{install}`.")


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # A package above it is missing.
        return False
