"""Finds the code that a component runs, by its imports, and digests what of it can change the component's outputs.

The cache key does not hold these digests: the component's hand-written `version` decides. They are recorded beside it,
so that a run can say that code has changed. A test compares them with those that are committed for each version.
"""

import ast
import dataclasses
import functools
import importlib.util
import pathlib
import re
import sys
from collections.abc import Iterator

from beam_jobs import storage
from components.base import Component

_PACKAGES = frozenset({"beam_jobs", "components", "models"})
"""What of ours a component may import."""

_WITHOUT_OUTPUTS = frozenset(
    {
        "beam_jobs.command_lines",
        "beam_jobs.worker_code",
        "components.base",
        "components.errors",
        "components.tensorboard",
        "components.watching",
    }
)
"""Modules that no output depends on: the contract, messages, pictures, progress, and what refuses other workers."""

_PICTURES = "summaries"
"""Name of the module of each stage that writes to TensorBoard. What only it imports is not followed.

The Trainer's also writes `history.csv`, a copy of the curves.
"""

_MODULE_NAME = re.compile(r"[a-z]\w*(\.\w+)+")


@dataclasses.dataclass(frozen=True)
class _Module:
    """A module of ours.

    Attributes:
        file: Its source.
        digest: Digest of what its code says.
        uses: Names of the modules of ours that it imports or names.
    """

    file: pathlib.Path
    digest: str
    uses: frozenset[str]


def digests(component: Component) -> dict[str, str]:
    """Returns a digest of each module that a component runs.

    Returns:
        Path of a module, e.g. "models/contrastive.py" -> SHA-256 of its syntax tree. Comments, layout, docstrings,
        the descriptions of config fields and `Component.shows` do not count.
    """
    found = {}
    for name, module in _modules(component).items():
        path = pathlib.PurePath(*name.split("."))
        path = path / module.file.name if module.file.name == "__init__.py" else path.with_suffix(".py")
        found[str(path)] = module.digest
    return found


def files(component: Component) -> dict[str, pathlib.Path]:
    """Returns name and file of each module that a component runs.

    These are its own module and, transitively, those of our packages that are imported anywhere, also within functions,
    or that a string names: the executor, and programs that run as processes of their own.
    """
    return {name: module.file for name, module in _modules(component).items()}


def _modules(component: Component) -> dict[str, _Module]:
    own = type(component).__module__
    packages = frozenset({*_PACKAGES, own.partition(".")[0]})
    found: dict[str, _Module] = {}
    waiting = [own, getattr(component, "executor", own)]
    while waiting:
        name = waiting.pop()
        if name in found or name in _WITHOUT_OUTPUTS or name.endswith(f".{_PICTURES}"):
            continue
        file = _file(name)
        if file is None:
            raise ModuleNotFoundError(f"No module named {name!r}")
        found[name] = _read(name, file, file.stat().st_mtime_ns, packages)
        waiting += found[name].uses
    return dict(sorted(found.items()))


@functools.cache
def _read(name: str, file: pathlib.Path, mtime_ns: int, packages: frozenset[str]) -> _Module:
    """Reads a module, and finds what it uses within some top-level packages."""
    del mtime_ns  # Only part of the key of `functools.cache`.
    tree = ast.parse(file.read_bytes(), filename=str(file))
    uses = set()
    for used in _used_names(name, file, tree):
        if used.partition(".")[0] not in packages:
            continue
        # `from package import name` imports the module `package.name` if there is one, else `package`.
        module = used if _file(used) is not None else used.rpartition(".")[0]
        if _file(module) is not None:
            uses.add(module)
    return _Module(file=file, digest=storage.text_digest(repr(_meaning(tree))), uses=frozenset(uses))


def _used_names(name: str, file: pathlib.Path, tree: ast.Module) -> Iterator[str]:
    """Yields the names that a module imports, and the strings in it that may name a module."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                source = ".".join([*parents, source]).rstrip(".")
            yield from (f"{source}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value.endswith(".py") and file.with_name(node.value.rpartition("/")[2]).is_file():
                yield f"{package}.{pathlib.PurePath(node.value).stem}"
            elif _MODULE_NAME.fullmatch(node.value):
                yield node.value


def _file(name: str) -> pathlib.Path | None:
    """Returns the file of a module, `__init__.py` for a package, or None if there is no such module.

    Only top-level packages are looked up where Python finds them. None is imported.
    """
    top, *rest = name.split(".")
    source = _top_level_file(top)
    if source is None or not rest:
        return source
    path = source.parent.joinpath(*rest)
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


def _top_level_file(name: str) -> pathlib.Path | None:
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:
        spec = importlib.util.find_spec(name)
        file = None if spec is None else spec.origin
    return pathlib.Path(file) if file else None


def _meaning(node: object) -> object:
    """Returns what a syntax tree says, as nested tuples. They are the same in every version of Python.

    `ast.dump` would also show fields that only some versions have.
    """
    if isinstance(node, list):
        return tuple(_meaning(item) for item in node if not (_is_docstring(item) or _names_pictures(item)))
    if not isinstance(node, ast.AST):
        return node
    if isinstance(node, ast.Call) and _is_config_field(node.func):
        keywords = [keyword for keyword in node.keywords if keyword.arg != "description"]
        node = ast.Call(func=node.func, args=node.args, keywords=keywords)
    fields = ((field, _meaning(value)) for field, value in ast.iter_fields(node) if value is not None and value != [])
    return type(node).__name__, *fields


def _is_docstring(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _names_pictures(node: object) -> bool:
    """Returns whether a statement is that of `Component.shows`."""
    return isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "shows"


def _is_config_field(function: ast.expr) -> bool:
    """Returns whether a called function is `pydantic.Field`."""
    return isinstance(function, ast.Attribute) and function.attr == "Field"
