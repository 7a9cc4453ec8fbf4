"""The packages of the extra `vertex`, which most users do without."""

import importlib.util

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
            raise UserError(
                f"`diptych {command}` needs the package {module}: run `make install-vertex` in a clone of Diptych, or "
                '`pip install ".[pipeline,vertex]"` there.'
            )


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # A package above it is missing.
        return False
