"""Fingerprints of what decides a stage's result: its code, its config and the content of its inputs."""

import ast
import functools
import hashlib
import importlib.util
import json
import pathlib
import sys
from collections.abc import Iterator, Mapping

from etils import epath

from components.base import Component, StageConfig

DONE_FOLDER = "_done"


def text_digest(text: str) -> str:
    """The SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def json_digest(value: object) -> str:
    """The SHA-256 of a value that JSON can hold; the order of keys does not matter."""
    return text_digest(json.dumps(value, sort_keys=True))


def config_values(config: StageConfig) -> dict[str, object]:
    """What of the config decides a stage's outputs, as plain JSON values."""
    return config.model_dump(mode="json", exclude=set(config.incidental))


# Code


def code_digests(component: Component) -> dict[str, str]:
    """Digests of the modules that decide what a component writes: its own package's and those of `component.code`.

    Returns:
        The module's path ("models/contrastive.py") -> SHA-256 of its syntax tree. Comments, layout and docstrings
        do not count.

    Raises:
        ModuleNotFoundError: `component.code` names no module.
    """
    own = type(component).__module__
    package = own.rpartition(".")[0]
    # components/trainer/component.py stands for its folder, components/pusher.py for itself alone.
    names = [package if "." in package and _source(package).is_dir() else own, *component.code]
    digests = {}
    for name in names:
        source = _source(name)
        folder = source if source.is_dir() else source.parent
        label = pathlib.PurePath(*name.split("."))
        for file in sorted(source.rglob("*.py")) if source.is_dir() else [source]:
            where = label / file.relative_to(folder) if source.is_dir() else label.with_suffix(".py")
            digests[str(where)] = _syntax_digest(file, file.stat().st_mtime_ns)
    return digests


def _source(name: str) -> pathlib.Path:
    """The folder of a package or the file of a module, found without importing anything but the top package."""
    top, *rest = name.split(".")
    if top in sys.modules and getattr(sys.modules[top], "__file__", None):
        path = pathlib.Path(sys.modules[top].__file__)
    else:
        spec = importlib.util.find_spec(top)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"No module named {name!r}")
        path = pathlib.Path(spec.origin)
    if path.name == "__init__.py":
        path = path.parent.joinpath(*rest)
    if path.is_dir() or path.is_file():
        return path
    path = path.with_suffix(".py") if not path.suffix else path
    if not path.is_file():
        raise ModuleNotFoundError(f"No module named {name!r}")
    return path


@functools.cache
def _syntax_digest(file: pathlib.Path, mtime_ns: int) -> str:
    del mtime_ns  # Part of the cache's key only.
    tree = ast.parse(file.read_bytes(), filename=str(file))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            del body[0]
    return text_digest(ast.dump(tree))


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


# Content


def listing_digest(folder: epath.Path) -> str:
    """A digest of the names and sizes of all files in a folder: cheap, to see that published files are still there."""
    return json_digest([(name, file.stat().length) for name, file in _files(folder)])


def content_digest(folder: epath.Path) -> str:
    """A digest of the names and bytes of all files in a folder.

    A file whose writer left its SHA-256 in `_done/<file name>.json` ({"sha256": ..., "bytes": ...}) is not read again;
    those records themselves do not count.
    """
    entries = []
    for name, file in _files(folder):
        record = file.parent / DONE_FOLDER / f"{file.name}.json"
        known = json.loads(record.read_text()) if record.exists() else {}
        size = file.stat().length
        entries.append((name, known["sha256"] if "sha256" in known and known.get("bytes") == size else _sha256(file)))
    return json_digest(entries)


def _files(folder: epath.Path) -> Iterator[tuple[str, epath.Path]]:
    """All files below a folder, bookkeeping aside, as (relative name, path), sorted."""
    for path in sorted(folder.iterdir()):
        if path.name == DONE_FOLDER:
            continue
        if path.is_dir():
            yield from ((f"{path.name}/{name}", file) for name, file in _files(path))
        else:
            yield path.name, path


def _sha256(file: epath.Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


# Differences, in words


def differences(before: Mapping[str, object], after: Mapping[str, object], *, prefix: str = "") -> list[str]:
    """Says what changed between two (nested) mappings: ["steps 3000 -> 100", "model.width 0.125 -> 0.25"]."""
    changes = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            changes += differences(old, new, prefix=f"{prefix}{key}.")
        elif old != new or (key in before) != (key in after):
            changes.append(f"{prefix}{key} {_shown(old)} -> {_shown(new)}")
    return changes


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
